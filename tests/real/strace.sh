# hull's --strace shows the calls of a program with their arguments decoded.
# stderr: any
# flags: --strace --debug-log @LOG@
#~ execve\("/usr/bin/cat", \["cat", "/etc/hostname-not-there"\], .*\) = 0
#~ cat\] openat\(AT_FDCWD, "/etc/hostname-not-there", O_RDONLY, 00\) = -1 ENOENT \(No such file or directory\)
#~ openat\(AT_FDCWD, "out", O_WRONLY\|O_CREAT\|O_TRUNC, 0666\) = \d
#~ write\(1, "a line\\n", 7\) = 7
#~ read\(\d, "a line\\n", \d+\) = 7
#~ mmap\(NULL, \d+, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\) = 0x[0-9a-f]+
#~ newfstatat\(\d, "", \{st_mode=0100644, st_size=\d+, .*AT_EMPTY_PATH\) = 0
#~ rt_sigaction\(SIGINT, \{
#~ clone\(CLONE_CHILD_CLEARTID\|CLONE_CHILD_SETTID\|SIGCHLD, NULL, NULL, 0x[0-9a-f]+, NULL\) = \d+
#~ wait4\(-1, \[exited 1\], .*\) = \d+
#~ exit_group\(1\)
#~ pipe2?\(\[\d+, \d+\]
#~ uname\("Linux
#~ getdents64\(\d, .*\) = \d+
#~ kill\(\d+, SIGUSR1\) = 0
cat /etc/hostname-not-there
echo "a line" >out
cat out | cat
ls /tmp
uname -s
(kill -USR1 $BASHPID)
trap 'echo caught' USR1; kill -USR1 $$
