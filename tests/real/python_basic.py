# Python's library over the kernel: files, tempfile, mmap, subprocess, signals, sockets, selectors, sqlite3, os.
# stderr: any
import array, contextlib, errno, fcntl, glob, hashlib, io, json, locale, mmap, os, pathlib, pickle, platform, pwd, random, resource, select, selectors, shutil, signal, socket, sqlite3, stat, struct, subprocess, sys, tempfile, time, zlib
d = tempfile.mkdtemp(); os.chdir(d)
print(sys.version_info[:2], platform.system(), platform.machine(), os.name, sys.getfilesystemencoding(), pwd.getpwuid(os.getuid()).pw_name)
# files
p = pathlib.Path('f'); p.write_text('hello\nworld\n'); print(p.read_text().split(), p.stat().st_size, oct(p.stat().st_mode), p.exists(), [q.name for q in pathlib.Path('.').iterdir()])
with open('f', 'r+b', buffering=0) as f: f.seek(2); f.write(b'XX'); print(os.pread(f.fileno(), 5, 0), os.pwrite(f.fileno(), b'end', 10), f.tell(), f.truncate(8), os.fstat(f.fileno()).st_size)
with tempfile.TemporaryFile() as t: t.write(b'x' * 100000); t.seek(0); print(len(t.read()))
with tempfile.NamedTemporaryFile(delete=False) as t: t.write(b'named'); name = t.name
print(open(name).read(), os.path.dirname(name) == '/tmp'); os.unlink(name)
with tempfile.SpooledTemporaryFile(max_size=10) as t: t.write(b'y' * 20); t.seek(0); print(t.read())
os.makedirs('a/b/c'); shutil.copy('f', 'a/b/g'); os.symlink('g', 'a/b/s'); os.link('f', 'a/h'); shutil.copytree('a', 'z', symlinks=True); print(sorted(glob.glob('**', recursive=True)), os.stat('f').st_nlink, os.readlink('a/b/s')); shutil.move('z', 'y'); shutil.rmtree('y')
print(sorted((e.name, e.is_dir(), e.is_symlink()) for e in os.scandir('a/b')), [sorted(n) for _, *n in os.walk('a')][0] if 0 else sorted(os.listdir('a'))); os.rename('a/h', 'h'); os.replace('h', 'f'); os.utime('f', ns=(10**18, 10**18 + 5)); print(os.stat('f').st_mtime_ns, os.access('f', os.X_OK), os.path.samefile('f', './f'))
for call in (lambda: open('none'), lambda: os.mkdir('a'), lambda: os.rmdir('a'), lambda: os.open('a', os.O_WRONLY), lambda: open('f/x'), lambda: os.unlink('a'), lambda: os.open('f', os.O_DIRECTORY), lambda: os.readlink('f')):
    try: call()
    except OSError as e: print(type(e).__name__, errno.errorcode[e.errno])
os.setxattr('f', 'user.k', b'v') if 0 else None; fd = os.open('f', os.O_RDONLY | os.O_CLOEXEC); print(os.get_inheritable(fd), os.dup2(fd, 50), os.get_inheritable(50), fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE); os.closerange(fd, 60); fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600); os.write(fd, b'tmpfile'); os.link(f'/proc/self/fd/{fd}', 'linked', src_dir_fd=0, follow_symlinks=True); print(open('linked').read())
with open('f', 'w') as f, open('f') as g: fcntl.flock(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_EX, 10); print(fcntl.fcntl(g, fcntl.F_GETFD)); os.posix_fallocate(f.fileno(), 0, 5000); print(os.path.getsize('f')); os.sendfile(1, g.fileno(), 0, 0)
src, dst = open('src', 'wb+'), open('dst', 'wb+'); src.write(random.Random(1).randbytes(300000)); src.flush(); print(os.copy_file_range(src.fileno(), dst.fileno(), 300000, 0), hashlib.sha256(open('dst', 'rb').read()).hexdigest()[:16]); print(os.sendfile(dst.fileno(), src.fileno(), 100, 1000), os.statvfs('/').f_bsize, shutil.disk_usage('.').total > 0)
# mmap
with open('m', 'wb+') as f:
    f.truncate(3 * mmap.PAGESIZE); m = mmap.mmap(f.fileno(), 0); m[5:10] = b'mmap!'; m.flush(); f.seek(5); print(f.read(5), m.find(b'!'), m.size()); f.seek(4096); f.write(b'through write'); f.flush(); print(m[4096:4109]); m.resize(5 * mmap.PAGESIZE); print(os.path.getsize('m')); m.close()
    private = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); private[0:4] = b'priv'; f.seek(0); print(f.read(4)); ro = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    try: ro[0] = 1
    except TypeError as e: print(e)
shared = mmap.mmap(-1, 4096); pid = os.fork()
if not pid: shared[0:5] = b'child'; os._exit(0)
os.waitpid(pid, 0); print(shared[0:5]); big = mmap.mmap(-1, 256 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); big[100 << 20] = 7; print(big[100 << 20], big[0]); big.madvise(mmap.MADV_DONTNEED); print(big[100 << 20])
# subprocess
print(subprocess.run(['sh', '-c', 'cat; echo err >&2; exit 3'], input=b'in', capture_output=True)); print(subprocess.check_output('echo $X; pwd', shell=True, env={'X': 'env'}, cwd='/usr', text=True))
try: subprocess.run(['sleep', '9'], timeout=0.1)
except subprocess.TimeoutExpired: print('timeout')
try: subprocess.run(['/no/such'])
except FileNotFoundError as e: print(e)
try: subprocess.run(['true'], cwd='/no/such')
except FileNotFoundError as e: print(e)
p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True); print(p.communicate(b'z' * 200000)[0] == b'z' * 200000, p.returncode); p = subprocess.Popen(['sleep', '100'], process_group=0); p.terminate(); print(p.wait(), p); ps = [subprocess.Popen(['sh', '-c', f'exit {i}']) for i in range(20)]; print([p.wait() for p in ps]); r, w = os.pipe(); print(subprocess.run(['sh', '-c', f'echo passed >&{w}'], pass_fds=[w]).returncode, os.read(r, 100)); print(subprocess.run(['id', '-u'], user=65534, group=65534, extra_groups=[], capture_output=True).stdout, subprocess.run(['sh', '-c', 'umask'], umask=0o77, capture_output=True).stdout, subprocess.getstatusoutput('exit 5'))
print(os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 9'], os.environ) > 0, os.waitstatus_to_exitcode(os.wait()[1]), os.system('exit 2'), os.popen('echo popen').read()); pid = os.fork(); (os.kill(os.getpid(), 9) if not pid else print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))); pid = os.fork(); (os._exit(4) if not pid else None); i = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT); print(i.si_status, i.si_code == os.CLD_EXITED, os.wait4(pid, 0)[1]); pid = os.fork(); (os._exit(0) if not pid else None); pf = os.pidfd_open(pid); print(select.select([pf], [], [], 50)[0] == [pf], os.waitid(os.P_PIDFD, pf, os.WEXITED).si_status)
# signals
log = []; signal.signal(signal.SIGUSR1, lambda s, f: log.append(s)); signal.raise_signal(signal.SIGUSR1); os.kill(os.getpid(), signal.SIGUSR1); print(log); signal.signal(signal.SIGALRM, lambda s, f: (_ for _ in ()).throw(TimeoutError('alarm')))
try: signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(10)
except TimeoutError as e: print(e)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.kill(os.getpid(), signal.SIGUSR2); print(signal.sigpending(), signal.sigwait([signal.SIGUSR2]), signal.sigtimedwait([signal.SIGUSR2], 0.01)); r, w = socket.socketpair(); w.setblocking(False); signal.set_wakeup_fd(w.fileno()); signal.raise_signal(signal.SIGUSR1); print(r.recv(10)); signal.set_wakeup_fd(-1); signal.signal(signal.SIGALRM, lambda *a: log.append('itimer')); t = time.monotonic(); signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
while log.count('itimer') < 3: signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0); print('three alarms', time.monotonic() - t >= 0.06, signal.getitimer(signal.ITIMER_REAL)); signal.siginterrupt(signal.SIGUSR1, False); print(signal.strsignal(11), signal.SIGRTMIN.value, signal.SIGRTMAX.value)
# sockets
s = socket.socket(socket.AF_UNIX); s.bind('sock'); s.listen(5); c = socket.socket(socket.AF_UNIX); c.connect('sock'); a, addr = s.accept(); c.sendall(b'x' * 100); print(len(a.recv(1000)), repr(addr), a.getsockname(), c.getpeername(), struct.unpack('3i', a.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:]); c.shutdown(socket.SHUT_WR); print(a.recv(1)); a.settimeout(0.05); c.close()
x, y = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); x.send(b'one'); x.send(b'two'); print(y.recv(100), y.recv(1)); socket.send_fds(x, [b'fd'], [os.open('src', os.O_RDONLY)]); msg, fds, *_ = socket.recv_fds(y, 10, 5); print(msg, len(fds), os.fstat(fds[0]).st_size); ab = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); ab.bind('\0abstract'); x = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); x.sendto(b'dg', '\0abstract'); print(ab.recvfrom(10)); ab.setblocking(False)
try: ab.recv(1)
except BlockingIOError as e: print(e)
try: socket.socket(socket.AF_UNIX).connect('/none')
except FileNotFoundError as e: print(e)
sel = selectors.DefaultSelector(); x, y = socket.socketpair(); sel.register(y, selectors.EVENT_READ, 'y'); print(type(sel).__name__, sel.select(0.01)); x.send(b'!'); print([(k.data, e) for k, e in sel.select(1)]); sel.unregister(y); ep = select.epoll(); ep.register(y, select.EPOLLIN | select.EPOLLET); print(ep.poll(1)[0][1], ep.poll(0)); po = select.poll(); po.register(y, select.POLLIN | select.POLLOUT); print(po.poll(100)[0][1]); x.close(); print(select.select([y], [y], [y], 0)[0] == [y], y.recv(5), y.recv(5))
# sqlite3
db = sqlite3.connect('db'); db.execute('pragma journal_mode=wal'); db.execute('create table t(i integer primary key, s text)'); db.executemany('insert into t(s) values(?)', [(f's{i}',) for i in range(10000)]); db.commit(); other = sqlite3.connect('db'); print(other.execute('select count(*), max(i), min(s) from t').fetchone(), sorted(os.listdir('.'))[:6]); db.execute('begin immediate')
try: sqlite3.connect('db', timeout=0.1).execute('begin immediate')
except sqlite3.OperationalError as e: print(e)
db.rollback(); db.execute('delete from t where i % 2'); db.commit(); db.execute('vacuum'); print(db.execute('pragma integrity_check').fetchall(), sum(len(l) for l in db.iterdump())); db.close()
# the process
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 1000, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0) != set(), os.cpu_count() >= 1, os.getpgid(0), os.getsid(0), os.getppid(), os.uname().nodename, os.umask(0o22), os.getcwd() == d, os.getlogin() if 0 else '', len(os.urandom(8)), len(os.getrandom(8)), os.times().elapsed > 0, os.getloadavg() != 0)
try: os.nice(1), print(os.nice(0))
except OSError as e: print(e)
print(time.clock_getres(time.CLOCK_MONOTONIC), time.time() > 1.7e9, time.thread_time() > 0, time.process_time() > 0, os.sysconf('SC_PAGESIZE'), os.sysconf('SC_CLK_TCK'), os.sysconf('SC_NPROCESSORS_ONLN') >= 1, os.confstr('CS_GNU_LIBC_VERSION'), os.ttyname if 0 else os.isatty(0)); m = os.memfd_create('mfd'); os.write(m, b'memfd'); print(os.readlink(f'/proc/self/fd/{m}'), os.pread(m, 5, 0)); e = os.eventfd(3); print(os.eventfd_read(e)); r, w = os.pipe2(os.O_NONBLOCK); print(os.get_blocking(r), fcntl.fcntl(w, 1032)); os.chroot('/') if 0 else None; print(zlib.crc32(b'x'), sorted(os.listdir('/proc/self/task')) == [str(os.getpid())], open('/proc/self/comm').read(), open('/proc/self/cmdline').read().split('\0')); os.setpgid(0, 0) if 0 else None; print(os.sched_getscheduler(0), os.sched_yield()); sys.stdout.flush(); os.execv('/bin/sh', ['sh', '-c', 'echo exec; kill -USR1 $$; echo init'])
