"""The fuzzers, each for a moment from its corpus: enough to notice one that broke, or a parser that did. `make fuzz` runs them longer."""
import functools
import os
import shutil

from .job import Job, Result

SECONDS = 3


def run_fuzzer(name, ctx):
    test = f"fuzz/{name}"
    if not ctx.wanted(test):
        return [], ""
    if not shutil.which("clang"):
        return [Result(test, "skip", "clang isn't installed")], ""
    env = os.environ | {"FUZZ_SECONDS": str(SECONDS), "FUZZ_BUILD": os.path.join(ctx.args.build, "fuzz")}
    done = ctx.run([os.path.join(ctx.source, "fuzz/run"), name], 600, env=env)
    if done.status and "libclang_rt" in done.err:
        return [Result(test, "skip", "clang has no run-time library for fuzzers")], done.err
    return [Result(test, "fail" if done.status != 0 else "pass", done.said)], done.out + done.err


def jobs(ctx):
    for name in sorted(n[:-2] for n in os.listdir(os.path.join(ctx.source, "fuzz")) if n.endswith(".c")):
        yield Job(f"fuzz/{name}", functools.partial(run_fuzzer, name))
