"""The systems that are compared, and containers of theirs: all run the same bundles."""
import json
import os
import shutil
import subprocess
import tempfile
import time

from . import processes

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CAPS = ["CAP_" + c for c in """CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
                               SYS_CHROOT KILL AUDIT_WRITE""".split()]


class System:
    """One of the things compared: a runtime with its global flags, and the groups of rows that it is measured in."""

    def __init__(self, name, argv, groups):
        self.name, self.argv, self.groups = name, argv, groups
        self.native = name in ("runc", "crun")
        self.broken = {}    # row: why it has no figure

    def command(self, verb, *args):
        return [*self.argv, verb, *args]


def find_systems(args, state):
    everything = ("micro", "throughput", "programs", "life", "idle")
    few = everything if "ptrace" in (args.system or []) else ("micro", "throughput", "life")

    def hull(platform):
        return [args.hull, "--root", os.path.join(state, platform), f"--platform={platform}", "--network=none"]

    found = [System("host", None, ("host",)), System("runc", ["runc", "--root", os.path.join(state, "runc")], everything)]
    if shutil.which("crun"):
        found.append(System("crun", ["crun", "--root", os.path.join(state, "crun")], ("life",)))
    found += [System("systrap", hull("systrap"), everything), System("ptrace", hull("ptrace"), few)]
    if shutil.which("runsc"):
        found.append(System("gvisor", ["runsc", "--root", os.path.join(state, "gvisor"), "--platform=systrap", "--network=none",
                                       "--ignore-cgroups", "--overlay2=root:memory"], everything))
    return [s for s in found if not args.system or s.name in ("host", "runc") or s.name in args.system]


def config(rootfs, argv, programs, writable):
    def mount(target, kind, source, *options):
        return {"destination": target, "type": kind, "source": source, "options": list(options)}

    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": argv, "noNewPrivileges": True,
                    "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"],
                    "capabilities": {k: CAPS if writable else [] for k in ("bounding", "effective", "permitted")}},
        "root": {"path": rootfs, "readonly": not writable},
        "mounts": [mount("/proc", "proc", "proc"),
                   mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "size=65536k"),
                   mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev"),
                   mount("/mnt", "bind", programs, "bind", "ro")],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network")]},
    }


class Containers:
    """Makes bundles, runs containers, and clears both away. A bundle's root is read-only, or writable and nobody else's: in
    Hull and gVisor by an overlay of their own in memory, for the others by the host's overlay on a tmpfs."""

    def __init__(self, micro, limit):
        self.limit, self.count = limit, 0
        self.scratch = tempfile.mkdtemp(prefix="hull-bench-")
        self.rootfs = subprocess.check_output([os.path.join(HERE, "tools/make-root")], text=True).strip()
        self.programs = os.path.join(self.scratch, "programs")
        shutil.copytree(os.path.join(HERE, "bench/programs"), self.programs)
        shutil.copy(micro, self.programs)

    def overlay(self, folder):
        subprocess.check_call(["mount", "-t", "tmpfs", "hull-bench", folder])
        upper, work, merged = (os.path.join(folder, n) for n in ("upper", "work", "merged"))
        for path in (upper, work, merged):
            os.mkdir(path)
        subprocess.check_call(["mount", "-t", "overlay", "hull-bench", merged,
                               "-o", f"lowerdir={self.rootfs},upperdir={upper},workdir={work}"])
        return merged

    def bundle(self, system, argv, writable=False):
        self.count += 1
        folder = os.path.join(self.scratch, f"bundle-{self.count}")
        os.makedirs(folder)
        rootfs = self.rootfs
        if writable and system.native:
            os.mkdir(os.path.join(folder, "rw"))
            rootfs = self.overlay(os.path.join(folder, "rw"))
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(config(rootfs, list(argv), self.programs, writable), f)
        return folder

    def drop(self, bundle):
        rw = os.path.join(bundle, "rw")
        if os.path.isdir(rw):
            for path in (os.path.join(rw, "merged"), rw):
                subprocess.run(["umount", "--lazy", path], check=False)
        shutil.rmtree(bundle, ignore_errors=True)

    def name(self):
        self.count += 1
        return f"bench-{os.getpid()}-{self.count}"

    def run(self, system, argv, writable=False):
        """A container's standard output, the seconds it took, and what went wrong; its output goes through pipes (gVisor's
        must)."""
        bundle, container = self.bundle(system, argv, writable), self.name()
        start = time.monotonic()
        proc = subprocess.Popen(system.command("run", "--bundle", bundle, container), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = proc.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            self.end(system, container)
            proc.kill()
            out, err = proc.communicate()
            err = f"no end within {self.limit} s"
        seconds = time.monotonic() - start
        self.drop(bundle)
        return out, seconds, (err.strip().splitlines() or ["it ended early"])[-1] if proc.returncode else None

    def detach(self, system, argv):
        """Starts a container that goes on by itself; its name and the first line that it, or the runtime, says."""
        bundle, container = self.bundle(system, argv), self.name()
        here, there = os.pipe()
        subprocess.run(system.command("run", "--detach", "--bundle", bundle, container), stdin=subprocess.DEVNULL, stdout=there,
                       stderr=there, timeout=self.limit, check=False)
        os.close(there)
        with os.fdopen(here) as f:
            return container, f.readline().strip()

    def end(self, system, container):
        for verb in (["kill", container, "KILL"], ["delete", "--force", container]):
            proc = subprocess.Popen(system.command(*verb), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 20
            while proc.poll() is None and time.monotonic() < deadline:
                processes.reap_adopted(proc.pid)    # runsc waits until they are gone
                time.sleep(0.01)
            proc.kill()
            proc.wait()

    def close(self):
        subprocess.run(["rm", "-rf", "--one-file-system", self.scratch], check=False)
