"""Hostile programs: the sandbox and the other processes in it survive them."""
from .abi import program_jobs


def jobs(ctx):
    yield from program_jobs(ctx, "guard", ["systrap", "ptrace"])
