"""Sandboxes in which a program sleeps: what each costs the machine beyond the program itself, whose share runc's run gives."""
import time

from . import processes
from .rows import Row


def rows(args):
    def row(name, what, unit, **more):
        return Row(name, what, "idle", unit, **more)

    return {"idle": [row("idle-memory", f"memory (PSS) of one of {args.sandboxes} sandboxes", "KiB", beyond=True,
                         limit=1536 if args.sandboxes >= 20 else None),
                     row("idle-rss", "resident memory of its sentry alone", "KiB"),
                     row("idle-threads", "threads of the host", "", beyond=True, limit=5),
                     row("idle-cpu", f"CPU time over {args.idle_seconds} s", "us", beyond=True, limit=0)]}


class Idle:
    """One round is enough: it looks at many sandboxes already."""
    group, rounds = "idle", 1

    def __init__(self, bench):
        self.bench = bench

    def round(self, system, number):
        started, wanted = [], {r.name for r in self.bench.left("idle", system)}
        count = self.bench.args.sandboxes
        try:
            for _ in range(count):
                container, said = self.bench.containers.detach(system, ["/mnt/bench-micro", "--idle"])
                started.append(container)
                if said != "ready":
                    system.broken.update({row: said or "it ended early" for row in wanted})
                    return
            time.sleep(0.5)     # let the starts' last work end; nothing is waited for but quiet
            pids = processes.descendants()
            figures = {"idle-memory": sum(map(processes.pss_kib, pids)) / count,
                       "idle-threads": sum(len(processes.threads(pid)) for pid in pids) / count,
                       "idle-rss": max((processes.rss_kib(pid) for pid in pids if "boot" in processes.command_line(pid)),
                                       default=None)}
            if "idle-cpu" in wanted:
                figures["idle-cpu"] = self.cpu(pids) / 1e3 / count
            for row in wanted & set(figures):
                if figures[row] is not None:
                    self.bench.note(system, number, row, figures[row])
        finally:
            for container in started:
                self.bench.containers.end(system, container)

    def cpu(self, pids):
        before = sum(map(processes.cpu_ns, pids))
        time.sleep(self.bench.args.idle_seconds)
        return sum(map(processes.cpu_ns, pids)) - before
