"""The processes around a sandbox, as /proc and the control groups count them.

The bench is the subreaper of all that it starts, so that a detached container's processes are its descendants.
"""
import contextlib
import ctypes
import os
import signal
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_CHILD_SUBREAPER, CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 36, 0x20000, 0x4000, 0x40000, 2


def adopt_orphans():
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def own_mounts():
    """Enters a mount namespace of our own: what is mounted for a bundle goes with us, however we end."""
    if LIBC.unshare(CLONE_NEWNS) != 0 or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace")
    # crun refuses a machine with both kinds of control groups where the second has controllers: hide that one from all.
    if os.path.exists("/sys/fs/cgroup/unified"):
        LIBC.umount2(b"/sys/fs/cgroup/unified", MNT_DETACH)


def stats():
    """Every process's state and parent."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                tail = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(pid)] = (tail[0], int(tail[1]))
    return found


def reap_adopted(but):
    for pid, (state, parent) in stats().items():
        if state == "Z" and parent == os.getpid() and pid != but:
            with contextlib.suppress(ChildProcessError):    # whoever else waits for it was first
                os.waitpid(pid, 0)


def wait_reaping(proc, limit):
    """Waits for proc and reaps adopted children meanwhile: some runtimes wait until those are gone."""
    def late(signo, frame):
        raise TimeoutError(f"no end within {limit} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(limit)
    try:
        while True:
            pid = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT).si_pid
            if pid == proc.pid:
                return proc.wait()
            os.waitpid(pid, 0)
    except TimeoutError:
        proc.kill()
        proc.wait()
        raise
    finally:
        signal.alarm(0)


def descendants():
    parents = {pid: parent for pid, (state, parent) in stats().items() if state != "Z"}
    found = []
    for pid in parents:
        up = pid
        while up in parents and up != os.getpid():
            up = parents[up]
        if up == os.getpid() and pid != up:
            found.append(pid)
    return found


def field_kib(path, field):
    try:
        with open(path) as f:
            return next(int(line.split()[1]) for line in f if line.startswith(field + ":"))
    except (OSError, StopIteration):
        return 0


def pss_kib(pid):
    return field_kib(f"/proc/{pid}/smaps_rollup", "Pss")


def rss_kib(pid):
    return field_kib(f"/proc/{pid}/status", "VmRSS")


def threads(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def cpu_ns(pid):
    """What its threads have run so far."""
    total = 0
    for tid in threads(pid):
        try:
            with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return f.read().split("\0")
    except OSError:
        return []


class CpuGroup:
    """A control group that counts the CPU time of all that is started from within it, and of what that starts."""

    def __init__(self):
        self.unified = not os.path.exists("/sys/fs/cgroup/cpuacct/cpuacct.usage")
        self.top = "/sys/fs/cgroup" if self.unified else "/sys/fs/cgroup/cpuacct"
        self.path = tempfile.mkdtemp(prefix="hull-bench-", dir=self.top)

    def enter(self):
        """For a child between fork and exec."""
        with open(os.path.join(self.path, "cgroup.procs"), "w") as f:
            f.write("0")

    def ns(self):
        if self.unified:
            with open(os.path.join(self.path, "cpu.stat")) as f:
                return 1000 * next(int(line.split()[1]) for line in f if line.startswith("usage_usec"))
        with open(os.path.join(self.path, "cpuacct.usage")) as f:
            return int(f.read())

    def close(self):
        """When all that was in it has been killed; a runtime's own groups are below ours."""
        deadline = time.monotonic() + 5
        while os.path.isdir(self.path) and time.monotonic() < deadline:
            reap_adopted(None)
            for folder, _, _ in os.walk(self.path, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    time.sleep(0.01)    # something in it still ends
