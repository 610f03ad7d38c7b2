# hull's --strace shows the calls of a program with their arguments decoded.
# stderr: any
# flags: --strace --debug-log @LOG@
#~ execve\("/usr/bin/cat", \["cat", "/etc/hostname-not-there"\], 0x[0-9a-f]+ /\* \d+ vars \*/\) = 0
#~ cat\] openat\(AT_FDCWD, "/etc/hostname-not-there", O_RDONLY\) = -1 ENOENT \(No such file or directory\)
#~ openat\(AT_FDCWD, "out", O_WRONLY\|O_CREAT\|O_TRUNC, 0666\) = \d
#~ write\(1, "a line\\n", 7\) = 7
#~ read\(\d, "a line\\n", \d+\) = 7
#~ mmap\(NULL, \d+, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\) = 0x[0-9a-f]+
#~ newfstatat\(\d, "", \{st_mode=S_IFREG\|0644, st_size=\d+, .*AT_EMPTY_PATH\) = 0
#~ rt_sigaction\(SIGINT, \{sa_handler=.*sa_mask=\[.*\], sa_flags=SA_RESTORER.*\}, 8\) = 0
#~ rt_sigprocmask\(SIG_BLOCK, \[.*SIG.*\], \[\], 8\) = 0
#~ access\(".*", [RX]_OK\) = 0
#~ prlimit64\(0, RLIMIT_STACK, NULL, \{rlim_cur=.*, rlim_max=.*\}\) = 0
#~ arch_prctl\(ARCH_SET_FS, 0x
#~ fadvise64\(\d, 0, 0, POSIX_FADV_SEQUENTIAL\)
#~ ioctl\(\d, T(CGETS|IOCGWINSZ|IOCGPGRP), .*ENOTTY
#~ fcntl\(\d+, F_SETFD, FD_CLOEXEC\) = 0
#~ statx\(AT_FDCWD, "/tmp", .*STATX_MODE.*stx_mode=S_IFDIR\|
#~ clone\(CLONE_CHILD_CLEARTID\|CLONE_CHILD_SETTID\|SIGCHLD, NULL, NULL, 0x[0-9a-f]+, NULL\) = \d+
#~ wait4\(-1, \[\{WIFEXITED\(s\) && WEXITSTATUS\(s\) == 1\}\], .*\) = \d+
#~ exit_group\(1\)
#~ pipe2?\(\[\d+, \d+\]
#~ uname\(\{sysname="Linux", nodename=".*", release=".*\}\) = 0
#~ getdents64\(\d, /\* \d+ entries \*/, \d+\) = \d+
#~ socketpair\(AF_UNIX, SOCK_STREAM\|SOCK_CLOEXEC, 0, \[\d+, \d+\]\) = 0
#~ sendmsg\(\d+, \{msg_name=NULL, msg_namelen=0, msg_iov=\[\{"hi", 2\}\], msg_iovlen=1,
#~ (pselect6|select)\(\d+, \[\d+\], .*\{tv_sec=1, tv_n?u?sec=0\}
#~ connect\(\d+, \{sa_family=AF_UNIX, sun_path="/nowhere"\}, \d+\) = -1 ENOENT
#~ epoll_ctl\(\d+, EPOLL_CTL_ADD, \d+, \{events=EPOLLIN\|EPOLLET, data=
#~ epoll_wait\(\d+, \[\{events=EPOLLIN, data=.*\}\], \d+, \d+\) = 1
#~ poll\(\[\{fd=\d+, events=POLLIN\}\] => \[\{fd=\d+, events=POLLIN, revents=POLLIN\}\], 1, 0\) = 1
#~ fcntl\(\d+, F_SETLKW, \{l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=0\}\) = 0
#~ lseek\(\d+, 0, SEEK_END\) = 0
#~ setitimer\(ITIMER_REAL, \{it_interval=\{tv_sec=0, tv_usec=0\}, it_value=\{tv_sec=500, tv_usec=0\}\}
#~ setsockopt\(\d+, SOL_SOCKET, SO_SNDBUF, \[4096\], 4\) = 0
#~ clone3?\(.*CLONE_VM\|CLONE_FS\|
#~ futex\(0x[0-9a-f]+, FUTEX_WAIT(_BITSET)?\|FUTEX_PRIVATE_FLAG.*
#~ kill\(\d+, SIGUSR1\) = 0
cat /etc/hostname-not-there
echo "a line" >out
cat out | cat
ls /tmp
uname -s
(kill -USR1 $BASHPID)
trap 'echo caught' USR1; kill -USR1 $$
/usr/bin/python3 - <<'E'
import fcntl, select, signal, socket, threading, time
a, b = socket.socketpair()
a.sendmsg([b"hi"])
select.select([b], [], [], 1)
b.recvmsg(10)
u = socket.socket(socket.AF_UNIX)
try:
    u.connect("/nowhere")
except OSError:
    pass
e = select.epoll()
e.register(b, select.EPOLLIN | select.EPOLLET)
a.send(b"x")
e.poll(1)
p = select.poll()
p.register(b, select.POLLIN)
p.poll(0)
with open("lock", "w") as f:
    fcntl.lockf(f, fcntl.LOCK_EX)
    f.seek(0, 2)
signal.setitimer(signal.ITIMER_REAL, 500)
a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
t = threading.Thread(target=lambda: time.sleep(0.05))
t.start()
t.join()
E
