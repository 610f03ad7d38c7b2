"""The table's rows: what a figure is, what it should be, and what on the machine bounds it."""
import dataclasses

GROUPS = {
    "micro": "single operations (ns)",
    "throughput": "bytes and calls in bulk",
    "programs": "programs of a Debian root (ms)",
    "cpu": "CPU time of the same programs, of all processes of the sandbox (ms)",
    "life": "a container's life (ms)",
    "idle": "idle sandboxes, each, beyond the program's own",
    "host": "what the machine gives, natively (ns)",
}


@dataclasses.dataclass
class Row:
    """A target is a ratio to runc's figure, a fixed limit, or another system that is to be beaten."""
    name: str
    what: str
    group: str
    unit: str = "ns"
    bytes: int = 0                  # that one operation moves, where its speed is what is shown
    higher: bool = False            # a higher figure is the better one
    beyond: bool = False            # runc's figure is the program's own, and taken off the others'
    ratio: float | None = None
    limit: float | None = None
    beat: str | None = None
    bound: dict = dataclasses.field(default_factory=dict)   # host row (or "own": runc's figure): how often it is needed

    def __post_init__(self):
        self.ratio = RATIOS.get(self.name, self.ratio)
        self.bound = BOUNDS.get(self.name, {})


# "Native speed": Hull's figure divided by that of the machine's own runc.
RATIOS = {
    "getpid": 0.5, "getppid": 1.2, "sigprocmask": 1.2, "futex-wake": 1.2, "epoll-none": 1.2, "read-zero": 1.5,
    "pread-4k": 1.3, "pwrite-4k-tmpfs": 1.3, "clock": 1.2,
    "stat": 1.2, "stat-none": 1.2, "open-close": 1.5, "list": 1.2, "list-lstat": 1.5,
    "pipe": 1.5, "unix": 1.5, "eventfd-epoll": 1.5, "futex-threads": 1.2, "pipe-threads": 1.2, "unix-threads": 1.2,
    "signal": 3, "segv": 3, "mmap": 1.5, "mmap-1m": 1.5, "mprotect": 1.5, "page-fault": 1.1, "dontneed": 1.2,
    "thread": 1.5, "sleep-50us": 1.2, "fork": 1.5, "fork-256m": 1.5, "fork-exec": 1.5, "vfork-exec": 1.5,
    "read-4k": 0.8, "read-128k": 0.9, "write-tmpfs": 0.9, "write-root": 0.9, "crowd-sigprocmask": 0.5, "crowd-read": 0.5,
    "python": 1.3, "execs": 1.5, "subshells": 1.5, "git-status": 1.5, "find": 1.5, "ls": 1.5, "tar-gzip": 1.2, "dpkg": 1.5,
    "make": 1.2, "sqlite": 1.1, "sha256": 1.05,
}

# What a row is made of at best on systrap, as it is built. A call that the sentry answers is a hand-over there and back: by spinning at best.
# Reading and writing a file, and changing memory, is the host's own call, made by the stub; by itself, where the descriptor is lent to it. What the host
# looks at the stub's filter for is in it, too: a call that a filter lets pass, less one without any.
OWN = {"own": 1, "host-filtered": 1, "host-call": -1}
BOUNDS = {
    "epoll": {"host-spin": 1},
    **{row: OWN for row in ("pread-4k", "pread-4k-tmpfs", "pwrite-4k-tmpfs", "read-4k", "read-128k")},
    **{row: OWN | {"host-spin": 1} for row in ("write-tmpfs", "write-root")},
    "open-close": {"host-spin": 2}, "create-unlink": {"host-spin": 3},
    "unix": {"host-spin": 2},
    "pipe-threads": {"host-spin": 4}, "unix-threads": {"host-spin": 4},
    "list-lstat": {"host-spin": 1000},
    "signal": {"host-spin": 2}, "segv": {"host-signal": 1, "host-spin": 3},
    "mmap": OWN | {"host-spin": 2}, "mmap-1m": OWN | {"host-spin": 2}, "mprotect": OWN | {"host-spin": 1},
    "dontneed": OWN,
    "fork": {"own": 1, "host-spin": 3}, "fork-256m": {"own": 1, "host-spin": 3},
    "run": {"host-namespaces": 1},
}
