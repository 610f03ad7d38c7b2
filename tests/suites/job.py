"""What the suites share: a job, its results, the context of a run, and a way to run a command within a time limit."""
import collections
import fnmatch
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Callable


@dataclass
class Result:
    name: str
    status: str             # pass, fail, skip
    why: str = ""


@dataclass
class Job:
    """One unit of scheduling: one or more tests that run together."""
    name: str
    body: Callable          # (ctx) -> (list of Result, captured output)
    where: str = ""         # host, systrap, ptrace; empty: no matter where
    alone: bool = False     # not at the same time as others
    long: bool = False      # begins before others

    def run(self, ctx):
        return self.body(ctx)

    def failed(self, why):
        return Result(self.name, "fail", why)


@dataclass
class Finished:
    status: int | None      # None: it had to be killed after the time limit
    out: str
    err: str
    picture: str = ""       # of its processes when it last seemed to hang

    @property
    def said(self):
        """How it ended and its last words, for a failure's message."""
        how = "no end within the time limit" if self.status is None else f"status {self.status}"
        lines = (self.err.strip() or self.out.strip()).splitlines()
        if lines:
            how += f": {lines[-1][:300]}"
        return f"{how}; {self.picture}" if self.status is None and self.picture else how


@dataclass
class Context:
    source: str
    scratch: str
    args: object
    cleanups: list = field(default_factory=list)
    mutex: threading.Lock = field(default_factory=threading.Lock)
    counter: int = 0

    def wanted(self, name):
        k = self.args.pattern
        return not k or k in name or fnmatch.fnmatchcase(name, k)

    def folder(self, name):
        """A new empty folder."""
        with self.mutex:
            self.counter += 1
            path = os.path.join(self.scratch, f"{self.counter}-{name}")
        os.makedirs(path)
        return path

    def own_name(self):
        """A name that nothing else on this machine has: control groups, for instance, are everybody's."""
        with self.mutex:
            self.counter += 1
            return "-".join([*self.scratch.split("/")[-2:], str(self.counter)])

    def hull(self, platform, *rest, root=None):
        """A hull command line."""
        flags = ["--root", root] if root else []
        return [self.args.hull, *flags, f"--platform={platform}", "--network=none", *self.args.hull_flag, *rest]

    def run(self, argv, seconds=60, cwd=None, env=None, stdin=subprocess.DEVNULL, **more):
        """Runs a command to its end, or kills it and what it started when the time is over."""
        proc = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                cwd=cwd, env=env, start_new_session=True, **more)
        shots = ""
        try:
            out, err, shots = communicate(proc, seconds * self.args.slow)
            status = proc.returncode
        except subprocess.TimeoutExpired:
            shots = picture(proc.pid)
            kill_tree(proc.pid)
            try:
                out, err = proc.communicate(timeout=5)
            except subprocess.TimeoutExpired as e:      # somebody else holds the pipe
                out, err = e.stdout or b"", e.stderr or b""
            status = None
        return Finished(status, out.decode(errors="replace"), err.decode(errors="replace"), shots)

    def on_close(self, action):
        with self.mutex:
            self.cleanups.append(action)

    def close(self):
        for action in reversed(self.cleanups):
            action()


STALL = 40      # seconds without a word; a conformance program gives a case up after 60
LOOK_EVERY = 10


def communicate(proc, seconds):
    """As Popen.communicate(); with its output a picture of the processes as they were when none had come for a while, or "" ."""
    end, said, said_at, shots = time.monotonic() + seconds, None, time.monotonic(), ""
    while True:
        left = end - time.monotonic()
        try:
            return (*proc.communicate(timeout=max(0, min(left, LOOK_EVERY))), shots)
        except subprocess.TimeoutExpired as e:
            if left <= LOOK_EVERY:
                raise
            now = (len(e.stdout or b""), len(e.stderr or b""))
            if now != said:
                said, said_at = now, time.monotonic()
            elif time.monotonic() - said_at >= STALL:
                shots = picture(proc.pid)


def proc_file(*names):
    try:
        with open(os.path.join("/proc", *map(str, names)), errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""


def picture(pid):
    """What the process and those below it are about, in one line: number, name, and of its threads the state, where the host has them wait, and in
    which call."""
    shots = []
    for p in [pid, *sorted(descendants(pid))]:
        threads = collections.Counter()
        try:
            tids = os.listdir(f"/proc/{p}/task")
        except OSError:
            continue
        for tid in tids:
            state = re.search(r"\) (\S)", proc_file(p, "task", tid, "stat"))
            where = [proc_file(p, "task", tid, "wchan"), *proc_file(p, "task", tid, "syscall").split()[:1]]
            threads[" ".join([state[1] if state else "?", *(w for w in where if w not in ("", "0"))])] += 1
        shots.append(f"{p} {proc_file(p, 'comm')}: " + ", ".join(t if n == 1 else f"{n} x {t}" for t, n in threads.items()))
    return "[" + "; ".join(shots)[:3000] + "]"


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def descendants(pid):
    """Process id -> parent, of all below pid."""
    parents = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat") as f:
                parents[int(p)] = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
    below = {}
    for p, parent in parents.items():
        at = p
        while at in parents and at != pid:
            at = parents[at]
        if at == pid and p != pid:
            below[p] = parent
    return below


def kill_tree(pid):
    """Ends the process, its group and all below it: a sandbox's processes have sessions of their own."""
    below = descendants(pid)
    kill_group(pid)
    for p in below:
        try:
            os.kill(p, signal.SIGKILL)
        except ProcessLookupError:
            pass
