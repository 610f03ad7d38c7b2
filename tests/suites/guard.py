"""Hostile programs, which the sandbox and the other processes in it survive; and what Hull's processes have given up."""
import functools
import os
import select
import subprocess

from .abi import program_jobs
from .bundles import process_state
from .job import Job, Result, descendants, kill_tree

NAMESPACES = ["mnt", "net", "ipc", "uts", "cgroup", "pid"]
GOFER_CAPS_READING = 1 << 2     # CAP_DAC_READ_SEARCH


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def namespace(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def kind_of(pid, parent, cli):
    """sentry, gofer or stub: as ps shows them."""
    with open(f"/proc/{pid}/cmdline") as f:
        argv = f.read().split("\0")
    if parent == cli:
        return argv[1] if len(argv) > 1 else "?"
    return "stub"


def judge(pid, kind, own_namespaces):
    """What is wrong with what this process still may do; nothing if all is well."""
    status = status_of(pid)
    wrong = []
    caps = int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapInh"], 16) | int(status["CapAmb"], 16)
    if caps & ~(GOFER_CAPS_READING if kind == "gofer" else 0):
        wrong.append(f"has capabilities {caps:#x}")
    if kind != "gofer" and int(status["CapBnd"], 16) & ~GOFER_CAPS_READING and status["NoNewPrivs"] != "1":
        wrong.append("may gain capabilities")
    if status["Seccomp"] != "2":
        wrong.append(f"has no seccomp filter (mode {status['Seccomp']})")
    if status["NoNewPrivs"] != "1":
        wrong.append("may gain privileges")
    if kind != "gofer" and status["Uid"].split()[:4] != ["65534"] * 4:
        wrong.append(f"runs as user {status['Uid']}")
    wrong += [f"shares the host's {ns} namespace" for ns in own_namespaces if namespace(pid, ns) == namespace("self", ns)]
    with open(f"/proc/{pid}/environ", "rb") as f:
        if b"HULL_SECRET" in f.read():
            wrong.append("still has the environment of who started it")
    if kind != "gofer" and os.listdir(f"/proc/{pid}/root/") not in ([], ["proc"]):
        wrong.append("sees files of the host")
    return wrong


def confinement(where, ctx):
    """A sandbox with a program that waits, looked at from the host."""
    argv = ctx.hull(where, "do", "--", "sh", "-c", "echo runs; read never")
    cli = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
                           env=os.environ | {"HULL_SECRET": "1"})
    results = []
    try:
        select.select([cli.stdout], [], [], 30 * ctx.args.slow)     # once the program itself runs, all is given up
        seen = {p: kind_of(p, parent, cli.pid) for p, parent in descendants(cli.pid).items() if process_state(p) != "Z"}
        for kind in ("boot", "gofer", "stub"):
            of_kind = [p for p, k in seen.items() if k == kind]
            wrong = [f"{p}: {w}" for p in of_kind for w in judge(p, kind, NAMESPACES)]
            if not of_kind:
                wrong = [f"there is none among {seen}"]
            name = f"guard/confinement.{'sentry' if kind == 'boot' else kind}@{where}"
            results.append(Result(name, "fail" if wrong else "pass", "; ".join(wrong)))
    finally:
        kill_tree(cli.pid)
        cli.communicate()
    return [r for r in results if ctx.wanted(r.name)], ""


def jobs(ctx):
    yield from program_jobs(ctx, "guard", ["systrap", "ptrace"])
    for where in ["systrap", "ptrace"]:
        yield Job(f"guard/confinement@{where}", functools.partial(confinement, where), where)
