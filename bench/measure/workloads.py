"""Programs of a Debian root at work: each script of bench/programs is a row, timed inside, in a container of its own.

The script measure says "begin" when what is needed is prepared, and "end NANOSECONDS" when the work is done; between the
two lines the control group's count gives the CPU time that all processes of the sandbox have used, whoever they are.
"""
import glob
import os
import subprocess
import sys
import time

from . import processes
from .container import HERE
from .rows import Row


def rows():
    found = []
    for script in sorted(glob.glob(os.path.join(HERE, "bench/programs/*.sh"))):
        with open(script) as f:
            found.append(Row(os.path.basename(script)[:-3], f.readline().lstrip("# ").strip(), "programs", "ms"))
    return {"programs": found, "cpu": [Row(f"cpu-{r.name}", r.what, "cpu", "ms", ratio=1.5) for r in found]}


class Workloads:
    group = "programs"

    def __init__(self, bench):
        self.bench, self.rounds, self.cpu = bench, bench.args.rounds, processes.CpuGroup()

    def round(self, system, number):
        for row in self.bench.left("programs", system):
            self.bench.progress(f"{row.name} ")
            self.measure(system, number, row.name)

    def close(self):
        self.cpu.close()

    def measure(self, system, number, row):
        bundle, container = self.bench.containers.bundle(system, ["/mnt/measure", row], True), self.bench.containers.name()
        with open(os.path.join(bundle, "errors"), "w+") as errors:     # they may be many: a pipe would stop the program
            proc = subprocess.Popen(system.command("run", "--bundle", bundle, container), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=self.cpu.enter)
            times = self.follow(proc, system, container)
            proc.communicate()
            errors.seek(0)
            said = errors.read().strip().splitlines()
        self.bench.containers.drop(bundle)
        if not times or proc.returncode:
            system.broken[row] = (said or ["it ended early"])[-1]
            return
        inside, outside, cpu, repeats = times
        if not outside / 2 - 1 < inside <= outside * 1.1 + 0.1:
            sys.exit(f"bench: {system.name}'s clock says {inside:.2f} s, ours {outside:.2f} s: no figure can be trusted")
        self.bench.note(system, number, row, inside * 1e3 / repeats)
        self.bench.note(system, number, f"cpu-{row}", cpu / 1e6 / repeats)

    def follow(self, proc, system, container):
        """The seconds by the sandbox's clock and by ours, the CPU time in ns, how often the work was done; or None."""
        deadline = self.bench.deadline(proc, system, container)
        began = cpu = None
        try:
            for line in proc.stdout:
                if line == "begin\n":
                    began, cpu = time.monotonic(), self.cpu.ns()
                elif began and line.startswith("end "):
                    used, outside = self.cpu.ns() - cpu, time.monotonic() - began
                    _, ns, repeats = line.split()
                    return int(ns) / 1e9, outside, used, int(repeats)
        finally:
            deadline.cancel()
        return None
