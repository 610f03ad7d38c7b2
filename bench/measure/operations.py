"""Rows of the program bench/micro: single operations, bulk, and natively what the machine gives."""
import os
import subprocess
import sys

from .rows import Row

WRITES_ROOT = ("write-root",)


def rows(micro):
    found = {"micro": [], "throughput": [], "host": []}
    for line in subprocess.check_output([micro, "--list"], text=True).splitlines():
        name, size, what = line.split(" ", 2)
        if name.startswith("host-"):
            found["host"].append(Row(name, what, "host"))
        elif int(size):
            found["throughput"].append(Row(name, what, "throughput", "MB/s", int(size), higher=True))
        elif name.startswith("crowd-"):
            found["throughput"].append(Row(name, what, "throughput", "calls/ms a CPU", higher=True))
        else:
            found["micro"].append(Row(name, what, "micro"))
    return found


class Operations:
    """One group of them. What the micro program prints is ns for one operation; bytes a second are made of it here."""

    def __init__(self, bench, group):
        self.bench, self.group, self.rounds = bench, group, bench.args.rounds
        listing = subprocess.check_output([bench.micro, "--list"], text=True)
        self.bytes = {line.split()[0]: int(line.split()[1]) for line in listing.splitlines()}

    def round(self, system, number):
        left = self.bench.left(self.group, system)
        for writable in (False, True):
            self.run(system, number, [r.name for r in left if (r.name in WRITES_ROOT) == writable], writable)

    def run(self, system, number, left, writable):
        """A row that ends the program is marked, and the rest is run again."""
        while left:
            out, seconds, problem = self.program(system, [f"--ms={self.bench.args.ms}", *left], writable)
            elapsed = None
            for line in out.splitlines():
                row, value = line.split()
                if row == "elapsed":
                    elapsed = int(value) / 1e9
                else:
                    left.remove(row)
                    self.bench.note(system, number, row, self.figure(row, float(value)))
            if problem and left:
                system.broken[left.pop(0)] = problem
            elif problem:
                break
            elif not seconds / 2 - 1 < elapsed <= seconds:
                sys.exit(f"bench: {system.name}'s clock says {elapsed:.2f} s, ours {seconds:.2f} s: no figure can be trusted")

    def program(self, system, argv, writable):
        if system.argv:
            return self.bench.containers.run(system, ["/mnt/bench-micro", *argv], writable)
        done = subprocess.run([self.bench.micro, *argv], capture_output=True, text=True, check=False)
        seconds = next((int(line.split()[1]) / 1e9 for line in done.stdout.splitlines() if line.startswith("elapsed")), None)
        return done.stdout, seconds, done.stderr.strip() or "it ended early" if done.returncode else None

    def figure(self, row, ns):
        if self.bytes[row]:
            return self.bytes[row] * 1000 / ns
        return 1e6 / ns / os.cpu_count() if row.startswith("crowd-") else ns
