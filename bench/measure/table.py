"""The table: medians, ratios, targets, marks, and the lines that close it."""
import statistics

from .rows import GROUPS

MIXED_UNITS = ("throughput", "idle")     # groups whose rows say their unit themselves


class Table:
    """Made of rows, of why rows have no figure by system (every system has an entry), and of the raw runs."""

    def __init__(self, rows, broken, runs):
        self.rows, self.broken = rows, broken
        self.samples = {}
        for r in runs:
            self.samples.setdefault((r["system"], r["row"]), []).append(r["value"])

    def raw(self, system, row):
        values = self.samples.get((system, row))
        return statistics.median(values) if values else None

    def value(self, system, row):
        figure, own = self.raw(system, row.name), self.raw("runc", row.name) if row.beyond else 0
        return None if figure is None or own is None else max(figure - own, 0) if row.beyond else figure

    def ratio(self, system, row):
        figure, base = self.value(system, row), self.value("runc", row)
        return None if figure is None or not base or row.beyond else figure / base

    def worse(self, row, figure, other, slack=1.0):
        """Whether one figure is worse than another, or than slack times it."""
        if None in (figure, other):
            return False
        return figure < other * slack if row.higher else figure > other * slack

    def slower(self, row):
        return self.worse(row, self.value("systrap", row), self.value("gvisor", row))

    def missed(self, row):
        """Which targets systrap misses, as words."""
        figure, found = self.value("systrap", row), []
        if target(row) and figure is None and row.name in self.broken.get("systrap", {}):
            return ["no figure"]
        if row.ratio is not None and self.worse(row, figure, self.value("runc", row), row.ratio):
            found.append(f"{self.ratio('systrap', row):.2f}x, target {ratio_target(row)}")
        if row.limit is not None and self.worse(row, figure, row.limit):
            found.append(f"{figure:,.0f}, target {row.limit:,.0f} {row.unit}")
        if row.beat and self.worse(row, figure, self.value(row.beat, row)):
            found.append(f"{figure:,.2f} {row.unit}, {row.beat} {self.value(row.beat, row):,.2f}")
        return found

    def bound(self, row):
        """What the machine alone makes of a row, as words: the parts that it is made of at best."""
        base = self.raw("runc", row.name)
        parts = {part: self.raw("host", part) for part in row.bound if part != "own"}
        if not base or not row.bound or None in parts.values():
            return ""
        parts["own"] = native = row.bytes * 1000 / base if row.bytes else base * (1e6 if row.unit == "ms" else 1)
        ratio = sum(count * parts[part] for part, count in row.bound.items()) / native
        said = "".join((" - " if count < 0 else " + ") + (f"{count} " if count > 1 else "") + ("its host call" if part == "own" else part)
                       for part, count in row.bound.items()).removeprefix(" + ")
        return f"; {said} alone: {1 / ratio if row.higher else ratio:.2f}x"

    def print(self):
        width = max(len(r.name) for r in self.rows)
        for group, title in GROUPS.items():
            rows = [r for r in self.rows if r.group == group]
            shown = [s for s in self.broken if any(self.raw(s, r.name) is not None for r in rows)]
            if shown:
                print(f"\n{title}\n{'':{width}}   " + "".join(f"{s:>20}" for s in shown) + f"{'target':>10}")
            for row in rows if shown else []:
                self.print_row(row, shown, width)
        print()
        self.print_unmeasured()
        if "systrap" in self.broken:
            self.print_missed()
            self.print_slower()

    def print_row(self, row, shown, width):
        cells = []
        for system in shown:
            figure, ratio = self.value(system, row), self.ratio(system, row)
            cells.append(f"{'-':>20}" if figure is None else
                         f"{number(figure):>11}" + (f"{ratio:8.2f}x" if ratio is not None else " " * 9))
        marks = ("*" if self.missed(row) else " ") + ("!" if self.slower(row) else " ")
        unit = f" ({row.unit}{', higher is better' if row.higher else ''})" if row.unit and row.group in MIXED_UNITS else ""
        print(f"{row.name:{width}} {marks}" + "".join(cells) + f"{target(row):>10}  {row.what}{unit}")

    def print_unmeasured(self):
        for system, broken in self.broken.items():
            for row, why in broken.items():
                print(f"no figure for {system}, {row}: {why}")

    def print_missed(self):
        missed = [r for r in self.rows if self.missed(r)]
        having = [r for r in self.rows if target(r) and (self.value("systrap", r) is not None or r in missed)]
        if not having:
            return
        print(f"systrap meets {len(having) - len(missed)} of {len(having)} targets" + ("; it misses (*):" if missed else ""))
        for row in missed:
            print(f"  {row.name}: {'; '.join(self.missed(row))}{self.bound(row)}")

    def print_slower(self):
        slower = [r.name for r in self.rows if self.slower(r)]
        both = [r for r in self.rows if None not in (self.value("systrap", r), self.value("gvisor", r))]
        if "gvisor" not in self.broken:
            print("gVisor isn't compared: runsc is not installed, or not asked for")
        elif both:
            print(f"systrap is slower than gVisor (!): {', '.join(slower)}" if slower else "systrap is slower than gVisor in no row")


def number(figure):
    return f"{figure:,.0f}" if figure >= 100 or figure == int(figure) else f"{figure:,.1f}" if figure >= 10 else f"{figure:,.2f}"


def ratio_target(row):
    return f"{'>' if row.higher else ''}{row.ratio:g}x"


def target(row):
    """A row's target in a few characters."""
    if row.beat:
        return f"<{row.beat}"
    if row.ratio is not None:
        return ratio_target(row)
    return "" if row.limit is None else f"{row.limit:,.0f}"
