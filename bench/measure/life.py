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
        containers = self.bench.containers
        bundle, container = containers.bundle(system, ["/mnt/bench-micro", "--idle"]), containers.name()
        pid_file = os.path.join(bundle, "pid")
        here, there = os.pipe()
        step = None

        def timed(verb, *args, then=lambda: None, **files):
            nonlocal step
            step, begin = verb, time.monotonic()
            proc = subprocess.Popen(system.command(verb, *args), stdin=subprocess.DEVNULL, **files)
            if processes.wait_reaping(proc, containers.limit) != 0:
                raise OSError(f"{verb} ended with status {proc.returncode}")
            then()
            if verb in names:
                self.bench.note(system, number, verb, (time.monotonic() - begin) * 1e3)

        def said():
            if os.read(here, 64) != b"ready\n":
                raise OSError("the program didn't start")

        try:
            timed("create", "--bundle", bundle, "--pid-file", pid_file, container, stdout=there, stderr=there)
            os.close(there)
            there = None
            with open(pid_file) as f:
                pidfd = os.pidfd_open(int(f.read()))
            timed("start", container, then=said)
            timed("exec", container, "/bin/true")
            timed("kill", container, "KILL", then=lambda: gone(pidfd, containers.limit))
            os.close(pidfd)
            processes.reap_adopted(None)
            timed("delete", container)
        except (OSError, ValueError) as problem:
            system.broken[step] = str(problem)
            containers.end(system, container)
        finally:
            os.close(here)
            if there is not None:
                os.close(there)
            containers.drop(bundle)


def gone(pidfd, limit):
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(limit * 1000):
        raise OSError("the process lives on")
