"""Checks of the source and of the built binary: layers, writable globals, how the binary is hardened."""
import os
import re

from .job import Job, Result


def script(name, *argv):
    """A check that is a program of its own, for developers to run by hand, too."""
    def body(ctx):
        args = [a.format(source=ctx.source, build=ctx.args.build) for a in argv]
        done = ctx.run([os.path.join(ctx.source, "tests", name), *args], 120)
        why = "; ".join(done.out.strip().splitlines()[:5]) or done.said
        return [Result(f"checks/{name}", "pass" if done.status == 0 else "fail", why)], done.out + done.err
    return body


def hardening(ctx):
    """What the linker was asked for is in the binary: PIE, full RELRO, no executable stack, stack protectors, FORTIFY_SOURCE."""
    def readelf(*flags):
        return ctx.run(["readelf", "-W", *flags, os.path.join(ctx.args.build, "hull")], 60).out

    header, segments, dynamic, symbols = readelf("-h"), readelf("-l"), readelf("-d"), readelf("-s")
    facts = {
        "pie": re.search(r"Type:\s+DYN", header),
        "static": "INTERP" not in segments,
        "relro": "GNU_RELRO" in segments and re.search(r"BIND_NOW|FLAGS_1.*NOW", dynamic),
        "no_executable_stack": re.search(r"GNU_STACK.* RW ", segments),
        "no_writable_code": not re.search(r"LOAD.* RWE ", segments),
        "stack_protector": "__stack_chk_fail" in symbols,
        "fortify": re.search(r"__\w+_chk\b", symbols.replace("__stack_chk_fail", "")),
    }
    return [Result(f"checks/hardening.{k}", "pass" if v else "fail", "not so in the built binary") for k, v in facts.items()], ""


def jobs(ctx):
    for name, *argv in (("check-layers", "{source}", "{build}"), ("check-globals", "{build}"), ("check-bench", "{build}")):
        yield Job(f"checks/{name}", script(name, *argv))
    yield Job("checks/hardening", hardening)
