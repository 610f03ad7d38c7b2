"""A container's life as an operator's commands see it: run to its end; or create, start, exec, kill until gone, delete."""
import os
import select
import subprocess
import time

from . import processes
from .rows import Row


def rows():
    def row(name, what, **more):
        return Row(name, what, "life", "ms", **more)

    return {"life": [row("run", "run a container of /bin/true, end to end", ratio=1.0, beat="crun"),
                     row("create", "create, until the command ends", ratio=1.0),
                     row("start", "start, until the program has said a line", ratio=1.0),
                     row("exec", "exec of /bin/true, end to end", ratio=1.0),
                     row("kill", "kill with SIGKILL, until the process is gone", ratio=1.0),
                     row("delete", "delete what has ended", ratio=1.0)]}


class Life:
    group = "life"

    def __init__(self, bench):
        self.bench, self.rounds = bench, bench.args.rounds

    def round(self, system, number):
        names = {r.name for r in self.bench.left("life", system)}
        for _ in range(self.bench.args.starts):
            if "run" in names and "run" not in system.broken:
                self.run(system, number)
            if names - {"run"} - set(system.broken):
                self.steps(system, number, names)

    def run(self, system, number):
        _, seconds, problem = self.bench.containers.run(system, ["/bin/true"])
        if problem:
            system.broken["run"] = problem
        else:
            self.bench.note(system, number, "run", seconds * 1e3)

    def steps(self, system, number, names):
        bundle = self.bench.containers.bundle(system, ["/mnt/bench-micro", "--idle"])
        one = OneLife(self.bench, system, bundle)
        try:
            for verb, ms in one.steps():
                if verb in names:
                    self.bench.note(system, number, verb, ms)
        except (OSError, ValueError) as problem:
            system.broken[one.verb] = str(problem)
            self.bench.containers.end(system, one.container)
        finally:
            one.close()
            self.bench.containers.drop(bundle)


class OneLife:
    """One container, whose program writes to a pipe; what its commands say goes to another, and is told if one fails."""

    def __init__(self, bench, system, bundle):
        self.system, self.bundle, self.limit = system, bundle, bench.containers.limit
        self.container, self.verb, self.pidfd = bench.containers.name(), None, None
        self.out, self.into = os.pipe()
        self.said, self.say = os.pipe2(os.O_NONBLOCK)

    def steps(self):
        """Pairs of a verb and how many ms it took."""
        pid_file = os.path.join(self.bundle, "pid")
        yield self.step("create", "--bundle", self.bundle, "--pid-file", pid_file, self.container, out=self.into)
        os.close(self.into)     # so that a program which ends early is noticed
        self.into = None
        with open(pid_file) as f:
            self.pidfd = os.pidfd_open(int(f.read()))
        yield self.step("start", self.container, then=self.wait_ready)
        yield self.step("exec", self.container, "/bin/true")
        yield self.step("kill", self.container, "KILL", then=self.wait_gone)
        processes.reap_adopted(None)
        yield self.step("delete", self.container)

    def step(self, verb, *args, out=None, then=lambda: None):
        self.verb, begin = verb, time.monotonic()
        proc = subprocess.Popen(self.system.command(verb, *args), stdin=subprocess.DEVNULL, stdout=out or self.say,
                                stderr=out or self.say)
        if processes.wait_reaping(proc, self.limit) != 0:
            raise OSError(self.last_words() or f"{verb} ended with status {proc.returncode}")
        then()
        return verb, (time.monotonic() - begin) * 1e3

    def last_words(self):
        os.set_blocking(self.out, False)
        for end in (self.said, self.out):
            try:
                return os.read(end, 65536).decode(errors="replace").strip().splitlines()[-1]
            except (BlockingIOError, IndexError):
                pass
        return None

    def wait_ready(self):
        if os.read(self.out, 64) != b"ready\n":
            raise OSError("the program didn't start")

    def wait_gone(self):
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(self.limit * 1000):
            raise OSError("the process lives on")

    def close(self):
        for fd in (self.out, self.into, self.said, self.say, self.pidfd):
            if fd is not None:
                os.close(fd)
