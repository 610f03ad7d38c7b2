"""Bundles and containers for the suites that drive the runtime: made, run, inspected, and always cleaned up."""
import functools
import json
import os
import subprocess
import time
from dataclasses import dataclass

from .job import Result


@functools.cache
def make_root(script):
    return subprocess.run([script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=1800, check=True, text=True).stdout.strip()


def root_folder(ctx):
    """The Debian root that tools/make-root keeps."""
    return make_root(os.path.join(ctx.source, "tools/make-root"))


def config(root, args, **process):
    """A small config.json, valid for runc and Hull alike."""
    caps = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps}, **process},
        "root": {"path": root, "readonly": True},
        "hostname": "inside",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]},
    }


@dataclass
class Runtime:
    """One runtime (hull on a platform, or runc) with a state folder of its own."""
    ctx: object
    where: str              # systrap, ptrace, runc
    state: str

    def argv(self, *words, flags=()):
        if self.where == "runc":
            return ["runc", "--root", self.state, *flags, *words]
        return [self.ctx.args.hull, "--root", self.state, f"--platform={self.where}", *self.ctx.args.hull_flag, *flags, *words]

    def __call__(self, *words, seconds=30, flags=(), **more):
        return self.ctx.run(self.argv(*words, flags=flags), seconds, **more)

    def detached(self, *words, seconds=30, **more):
        """A command whose container lives on with its standard output: nothing is captured."""
        proc = subprocess.run(self.argv(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=seconds * self.ctx.args.slow, check=False, **more)
        return proc.returncode

    def bundle(self, spec, name="bundle"):
        """A folder with this config.json. Without a path of its own a container of runc's would share its control group with all others of
        the machine that have the same ID: they would be frozen and killed together."""
        folder = self.ctx.folder(name)
        if self.where == "runc":
            spec = {**spec, "linux": {"cgroupsPath": "/" + self.ctx.own_name(), **spec["linux"]}}
        with open(os.path.join(folder, "config.json"), "w") as f:
            f.write(spec if isinstance(spec, str) else json.dumps(spec))
        return folder

    def state_of(self, cid):
        done = self("state", cid)
        return json.loads(done.out) if done.status == 0 else None

    def wait_status(self, cid, status, seconds=20):
        wait_for(lambda: (self.state_of(cid) or {}).get("status") == status, f"status {status}", seconds * self.ctx.args.slow)


def runtime(ctx, where):
    return Runtime(ctx, where, ctx.folder("state"))


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return value


def processes_of(state):
    """Host processes that name this state folder, or whose parent's did: hull's helpers of the containers in it."""
    found = []
    try:
        ids = os.listdir(state)
    except OSError:
        return found
    for cid in ids:
        try:
            with open(os.path.join(state, cid, "state.json")) as f:
                kept = json.load(f)
        except (OSError, ValueError):
            continue
        for part in ("sentry", "gofer"):
            pid = kept[part]["pid"]
            if pid and os.path.exists(f"/proc/{pid}") and process_state(pid) != "Z":
                found.append(pid)
    return found


def process_state(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def run_cases(ctx, prefix, where, cases):
    """Runs functions case(ctx, where) and turns what they raise into results."""
    results, lines = [], []
    for case in cases:
        name = f"{prefix}.{case.__name__.removeprefix('case_')}@{where}"
        if not ctx.wanted(name):
            continue
        try:
            case(ctx, where)
            results.append(Result(name, "pass"))
        except AssertionError as e:
            results.append(Result(name, "fail", str(e) or "an assertion failed"))
        except Exception as e:      # a broken case must not take the others along
            results.append(Result(name, "fail", f"{type(e).__name__}: {e}"))
        lines.append(f"{results[-1].status} {name} {results[-1].why}")
    return results, "\n".join(lines)
