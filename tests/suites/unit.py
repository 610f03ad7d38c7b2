"""The unit tests beside the code, through Meson's own runner."""
import json
import os

from .job import Job, Result


def run_all(ctx):
    build = ctx.args.unit_build
    done = ctx.run(["meson", "test", "-C", build, "--suite", "unit", "--print-errorlogs", "--no-stdsplit"], 1200)
    results = []
    try:
        with open(os.path.join(build, "meson-logs/testlog.json")) as f:
            tests = [json.loads(line) for line in f]
    except OSError:
        return [Result("unit/all", "fail", done.said)], done.out + done.err
    for t in tests:
        name = "unit/" + t["name"].rsplit(" / ")[-1].split(":")[-1]
        good = t["result"] in ("OK", "EXPECTEDFAIL")
        skip = t["result"] == "SKIP"
        last = (t.get("stdout") or "").strip().splitlines()[-1:] or [""]
        if ctx.wanted(name):
            results.append(Result(name, "pass" if good else "skip" if skip else "fail", f"{t['result']} {last[0]}"))
    if not results and not ctx.args.pattern:
        results.append(Result("unit/all", "fail", f"no unit test ran: {done.said}"))
    if done.status != 0 and not any(r.status == "fail" for r in results):
        results.append(Result("unit/build", "fail", done.said))
    return results, done.out + done.err


def jobs(ctx):
    yield Job("unit/all", run_all, alone=True)
