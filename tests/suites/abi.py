"""The conformance programs: first on the host, the oracle, then the same binaries inside on each platform."""
import functools
import glob
import os
import re

from .job import Job, Result

LINE = re.compile(r"^(ok|not ok|skip) (\w+)(?:: (.*))?$")
SECONDS = 300


def programs(ctx, suite):
    """Family -> path of the suite's programs."""
    prefix = os.path.join(ctx.args.build, "tests", suite + "-")
    return {p[len(prefix):]: p for p in sorted(glob.glob(prefix + "*")) if os.access(p, os.X_OK) and os.path.isfile(p)}


def run_program(suite, program, family, where, ctx):
    def name(case):
        return f"{suite}/{family}.{case}@{where}"

    listing = ctx.run([program, "--list"])
    cases = [c for c in listing.out.split() if ctx.wanted(name(c))]
    if not cases:
        return [], ""
    argv = [program] + (cases if ctx.args.pattern else [])
    if where != "host":
        argv = ctx.hull(where, "do", "--", *argv)
    done = ctx.run(argv, SECONDS, cwd="/tmp")
    results, seen = [], set()
    for line in done.out.splitlines():
        m = LINE.match(line)
        if m:
            status = {"ok": "pass", "not ok": "fail", "skip": "skip"}[m[1]]
            why = m[3] or ""
            if status == "fail" and why.startswith("no end") and done.picture:
                why += " " + done.picture
            results.append(Result(name(m[2]), status, why))
            seen.add(m[2])
    missing = [c for c in cases if c not in seen]
    for case in missing:
        results.append(Result(name(case), "fail", f"never ran to its end ({done.said})"))
    if not missing and done.status not in (0, 1):
        results.append(Result(name("program"), "fail", done.said))
    return results, done.out + done.err


def program_jobs(ctx, suite, places):
    for where in places:
        for family, program in programs(ctx, suite).items():
            yield Job(f"{suite}/{family}@{where}", functools.partial(run_program, suite, program, family, where), where)


def jobs(ctx):
    yield from program_jobs(ctx, "abi", ["host", "systrap", "ptrace"])
