"""Real programs: each script of tests/real runs in a Debian bundle by runc, the oracle, and by hull on each platform.

Output, errors and exit status must be the same to the byte. Both get the same config.json; what they write is kept nowhere
(runc: an overlay on a tmpfs that lives as long as its mount namespace; hull: its own overlay in memory).
A script's head may say:
    # limit: SECONDS    how long it may take (default 60)
    # status: N         how runc's run of it must end (default 0)
    # stderr: any       what it says on standard error differs from run to run: not compared
    # flags: …          more global flags for hull; in them, @LOG@ is a file whose content is given to the function below
"""
import difflib
import functools
import glob
import json
import os
import re
import shlex
import subprocess
import threading

from .job import Job, Result

INTERPRETERS = {".sh": "/bin/bash", ".py": "/usr/bin/python3", ".pl": "/usr/bin/perl"}
CAPS = """CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
          AUDIT_WRITE""".split()
DEFAULTS = {"limit": "60", "status": "0", "stderr": "same", "flags": ""}


def head_of(script):
    """The settings in a script's comments, up to its first other line."""
    found = dict(DEFAULTS)
    with open(script) as f:
        for line in f:
            if not line.startswith("#"):
                break
            m = re.match(r"# (\w+): (.*)$", line)
            if m and m[1] in found:
                found[m[1]] = m[2].strip()
    return found


def config(script, source):
    def mount(target, kind, src, *options):
        return {"destination": target, "type": kind, "source": src, "options": list(options)}

    caps = ["CAP_" + c for c in CAPS]
    name = os.path.basename(script)
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [INTERPRETERS[os.path.splitext(name)[1]], "/tests/" + name],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
                    "TERM=dumb"],
            "cwd": "/tmp",
            "capabilities": {k: caps for k in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096},
                        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
            "noNewPrivileges": False,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "testbox",
        "mounts": [mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
                   mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "size=65536k"),
                   mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
                         "gid=5"),
                   mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
                   mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
                   mount("/tests", "bind", os.path.join(source, "tests/real"), "bind", "ro")],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network")]},
    }


class Suite:
    """What the tests share: the root tree, made once, and runc's result for each script."""

    def __init__(self, ctx):
        self.ctx, self.mutex = ctx, threading.Lock()
        self.root, self.oracles, self.locks = None, {}, {}

    def root_tree(self):
        with self.mutex:
            if not self.root:
                made = subprocess.run([os.path.join(self.ctx.source, "tools/make-root")], stdout=subprocess.PIPE, check=True)
                self.root = made.stdout.decode().strip()
            return self.root

    def run(self, script, where, command):
        """Runs a command line in a fresh bundle whose root is mounted for it alone; {bundle} stands for the bundle."""
        root = self.root_tree()
        bundle = self.ctx.folder(f"real-{where}")
        os.makedirs(os.path.join(bundle, "rootfs"))
        os.makedirs(os.path.join(bundle, "rw"))
        with open(os.path.join(bundle, "config.json"), "w") as f:
            json.dump(config(script, self.ctx.source), f, indent=1)
        mounts = f"mount --bind {root} rootfs" if where != "runc" else (
            "mount -t tmpfs tmpfs rw && mkdir rw/upper rw/work && "
            f"mount -t overlay -o lowerdir={root},upperdir=rw/upper,workdir=rw/work overlay rootfs")
        line = f"cd {bundle} && {mounts} && exec {shlex.join(command)}"
        limit = float(head_of(script)["limit"])
        return bundle, self.ctx.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", line], limit)

    def oracle(self, script):
        with self.mutex:
            lock = self.locks.setdefault(script, threading.Lock())
        with lock:
            if script not in self.oracles:
                state = self.ctx.folder("runc-state")
                name = self.ctx.own_name()
                _, done = self.run(script, "runc", ["runc", "--root", state, "run", name])
                if done.status is None:
                    subprocess.run(["runc", "--root", state, "delete", "--force", name], check=False)
                self.oracles[script] = done
            return self.oracles[script]


def show_difference(expected, got, what):
    lines = list(difflib.unified_diff(expected.splitlines(), got.splitlines(), "runc", "hull", n=0, lineterm=""))
    told = [line for line in lines[2:] if not line.startswith("@@")]
    return f"{what} differs: " + " | ".join(told[:4])[:400] if told else f"{what} differs in its line ends"


def compare(want, got, head):
    """What is wrong, or None."""
    if want.status != int(head["status"]):
        return f"runc's run is no oracle ({want.said})"
    if got.status is None:
        return "no end within the time limit; " + show_difference(want.out, got.out, "output")
    if got.out != want.out:
        return show_difference(want.out, got.out, "output") + f" (status {got.status}; {got.said})"
    if head["stderr"] != "any" and got.err != want.err:
        return show_difference(want.err, got.err, "standard error")
    if got.status != want.status:
        return f"exit status {got.status} instead of {want.status}"
    return None


def run_script(suite, script, platform, ctx):
    name = f"real/{os.path.splitext(os.path.basename(script))[0]}@{platform}"
    if not ctx.wanted(name):
        return [], ""
    head = head_of(script)
    want = suite.oracle(script)
    state, log = ctx.folder("hull-state"), os.path.join(ctx.folder("hull-log"), "log")
    flags = [f.replace("@LOG@", log) for f in shlex.split(head["flags"])]
    command = ctx.hull(platform, root=state)
    _, got = suite.run(script, platform, [*command, *flags, "run", f"test-{os.getpid()}"])
    problem = compare(want, got, head)
    if not problem and flags:
        problem = check_strace(script, log)
    output = f"--- runc: {want.status}\n{want.out}{want.err}\n--- hull: {got.status}\n{got.out}{got.err}"
    return [Result(name, "fail" if problem else "pass", problem or "")], output


def check_strace(script, log):
    """Every line "#~ REGEX" of the script must match somewhere in the log."""
    with open(log, errors="replace") as f:
        text = f.read()
    with open(script) as f:
        wanted = [line[3:].strip() for line in f if line.startswith("#~ ")]
    missing = [w for w in wanted if not re.search(w, text)]
    return f"the log of --strace has nothing like {missing[0]!r}" if missing else None


def jobs(ctx):
    suite = Suite(ctx)
    scripts = sorted(s for s in glob.glob(os.path.join(ctx.source, "tests/real/*.*")) if os.path.splitext(s)[1] in INTERPRETERS)
    for script in scripts:
        for platform in ("systrap", "ptrace"):
            name = os.path.splitext(os.path.basename(script))[0]
            yield Job(f"real/{name}@{platform}", functools.partial(run_script, suite, script, platform), platform)
