"""Bad input and killed helpers: one clear sentence, a non-zero status, nothing left behind, never a hang."""
import copy
import functools
import glob
import os
import shlex
import shutil
import signal
import subprocess

from .bundles import config, process_state, processes_of, root_folder, run_cases, runtime, wait_for
from .job import Finished, Job, descendants

SLEEP = ["sh", "-c", "echo ready; exec sleep 1000"]


def refused(done, *words):
    """It ended by itself, not well, and said so in one sentence that holds these words."""
    assert done.status is not None, "it hangs"
    assert done.status > 0, f"status {done.status}"
    said = [line for line in done.err.splitlines() if line.startswith("hull: ")]
    assert len(said) == 1, f"expected one sentence, got: {done.err.strip()[-300:]!r}"
    assert len(said[0]) < 400, "the sentence is too long"
    for word in words:
        assert word in said[0], f"expected {word!r} in: {said[0]}"


def nothing_left(hull, *, after_delete=None):
    if after_delete:
        done = hull("delete", "--force", after_delete)
        assert done.status == 0, f"delete --force: {done.said}"
    left = os.listdir(hull.state) if os.path.isdir(hull.state) else []
    assert not left, f"left in the state folder: {left}"


def spec_of(ctx, args=("true",), **process):
    return config(root_folder(ctx), list(args), **process)


def changed(spec, path, value):
    """A copy with the field at path (dots and numbers) set, or, for value `...`, removed."""
    spec = copy.deepcopy(spec)
    at = spec
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    for step in way:
        at = at[step]
    if value is ...:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return spec


# --- bundles

WRONG_FIELDS = [
    ("ociVersion", ..., "ociVersion: missing"), ("ociVersion", 1, "ociVersion: expected a string"),
    ("ociVersion", "2.0.0", "ociVersion"), ("process", ..., "process: missing"), ("process", [], "process: expected an object"),
    ("process.args", ..., "process.args"), ("process.args", [], "process.args"), ("process.args", "true", "process.args"),
    ("process.args", [""], "process.args[0]"), ("process.args.1", 5, "process.args[1]: expected a string"),
    ("process.cwd", ..., "process.cwd: missing"), ("process.cwd", "tmp", "process.cwd"), ("process.cwd", 1, "process.cwd"),
    ("process.env", {"A": "b"}, "process.env"), ("process.env.0", "NOVALUE", "process.env[0]"), ("process.env.0", "=x", "process.env[0]"),
    ("process.user", 5, "process.user: expected an object"), ("process.user.uid", -1, "process.user.uid"),
    ("process.user.uid", 4294967295, "process.user.uid"), ("process.user.uid", 1.5, "process.user.uid"),
    ("process.user.umask", 512, "process.user.umask"), ("process.user.additionalGids", ["x"], "process.user.additionalGids[0]"),
    ("process.terminal", "yes", "process.terminal: expected true or false"), ("process.oomScoreAdj", 5000, "process.oomScoreAdj"),
    ("process.capabilities.bounding", ["CAP_NONE"], "process.capabilities.bounding[0]"),
    ("process.capabilities.permitted", [], "process.capabilities.effective"),
    ("process.rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}], "process.rlimits[0].type"),
    ("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}], "process.rlimits[0]"),
    ("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 1}], "process.rlimits[0].hard: missing"),
    ("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}] * 2, "process.rlimits[1].type"),
    ("root", ..., "root: missing"), ("root.path", ..., "root.path: missing"), ("root.path", "", "root.path"),
    ("root.path", "/nonexistent/root", "root.path"), ("root.path", "/etc/passwd", "root.path"), ("root.readonly", 1, "root.readonly"),
    ("hostname", "x" * 65, "hostname"), ("mounts", {}, "mounts: expected a list"),
    ("mounts.0.destination", "proc", "mounts[0].destination"), ("mounts.0.destination", ..., "mounts[0].destination: missing"),
    ("mounts.0.type", ..., "mounts[0].type: missing"), ("mounts.0.options", ["a,b"], "mounts[0].options"),
    ("mounts.0", {"destination": "/x", "type": "bind", "source": "/nonexistent", "options": ["bind"]}, "mounts[0].source"),
    ("mounts.0", {"destination": "/x", "options": ["bind"]}, "mounts[0].source: missing"),
    ("linux.namespaces.0.type", "mental", "linux.namespaces[0].type"), ("linux.namespaces.1.type", "pid", "linux.namespaces[1].type"),
    ("linux.maskedPaths", ["proc"], "linux.maskedPaths[0]"), ("linux.resources", {"memory": {"limit": "1G"}}, "linux.resources.memory.limit"),
    ("hooks", {"prestart": [{"path": "x"}]}, "hooks.prestart[0].path"), ("hooks", {"poststop": [{}]}, "hooks.poststop[0].path: missing"),
    ("annotations", {"a": 1}, "annotations.a"),
]


def case_wrong_fields(ctx, where):
    hull = runtime(ctx, where)
    spec, wrong = spec_of(ctx), []
    for path, value, word in WRONG_FIELDS:
        try:
            refused(hull("run", "-b", hull.bundle(changed(spec, path, value)), "wrong"), "config.json", word)
        except AssertionError as e:
            wrong.append(f"{path}={value!r}: {e}")
    assert not wrong, "; ".join(wrong)
    nothing_left(hull)


def case_not_json(ctx, where):
    hull = runtime(ctx, where)
    for text, word in (("", "line"), ("{", "line 1"), ("[]", "expected an object"), ('{"a":1}}', "line"), ("\0\0\0", "line"),
                       ("[" * 100000, "line"), ('{"ociVersion":"1.0.0\xff"}', "line")):
        with open(os.path.join(folder := ctx.folder("bundle"), "config.json"), "w", encoding="latin-1") as f:
            f.write(text)
        refused(hull("run", "-b", folder, "x"), "config.json", word)
    nothing_left(hull)


def case_no_bundle(ctx, where):
    hull = runtime(ctx, where)
    refused(hull("run", "-b", "/nonexistent", "x"), "/nonexistent")
    refused(hull("run", "-b", ctx.folder("empty"), "x"), "config.json")
    os.makedirs(os.path.join(folder := ctx.folder("bundle"), "config.json"))
    refused(hull("run", "-b", folder, "x"), "config.json")
    os.mkfifo(os.path.join(folder := ctx.folder("bundle"), "config.json"))
    refused(hull("run", "-b", folder, "x"), "config.json")
    nothing_left(hull)


# --- programs

def case_program(ctx, where):
    hull = runtime(ctx, where)
    files = ctx.folder("programs")
    with open("/bin/true", "rb") as f:
        true = f.read()
    for name, content, mode in (("truncated", true[:100], 0o755), ("headers", true[:64], 0o755), ("half", true[:len(true) // 2], 0o755),
                                ("text", b"hello\n", 0o755), ("empty", b"", 0o755), ("noexec", true, 0o644),
                                ("script", b"#!/nonexistent/interpreter\n", 0o755), ("arch", true[:18] + b"\x28" + true[19:], 0o755)):
        with open(path := os.path.join(files, name), "wb") as f:
            f.write(content)
        os.chmod(path, mode)
    os.mkdir(os.path.join(files, "folder"))
    spec = spec_of(ctx)
    spec["mounts"].append({"destination": "/tmp/p", "type": "bind", "source": files, "options": ["rbind", "ro"]})
    for name in ("truncated", "headers", "text", "empty", "noexec", "script", "arch", "folder", "missing"):
        spec["process"]["args"] = [f"/tmp/p/{name}"]
        refused(hull("run", "-b", hull.bundle(spec), "p"), name)
    spec["process"]["args"] = ["/tmp/p/half"]       # begins, and dies of what is missing
    done = hull("run", "-b", hull.bundle(spec), "p")
    assert done.status not in (0, None), done.said
    spec["process"]["args"] = ["no-such-program"]
    refused(hull("run", "-b", hull.bundle(spec), "p"), "no-such-program")
    nothing_left(hull)


def case_unreadable_program(ctx, where):
    hull = runtime(ctx, where)
    files = ctx.folder("programs")
    with open("/bin/true", "rb") as f, open(path := os.path.join(files, "secret"), "wb") as out:
        out.write(f.read())
    os.chmod(path, 0o700)
    spec = spec_of(ctx, ["/tmp/p/secret"], user={"uid": 1000, "gid": 1000}, capabilities={})
    spec["mounts"].append({"destination": "/tmp/p", "type": "bind", "source": files, "options": ["rbind", "ro"]})
    refused(hull("run", "-b", hull.bundle(spec), "p"), "secret", "ermission denied")
    nothing_left(hull)


def case_cwd_missing(ctx, where):
    hull = runtime(ctx, where)
    refused(hull("run", "-b", hull.bundle(spec_of(ctx, cwd="/nowhere")), "p"), "/nowhere")
    refused(hull("do", "--cwd", "/nowhere", "--", "true"), "/nowhere")
    refused(hull("do", "--root", "/nowhere", "--", "true"), "/nowhere")
    refused(hull("do", "--", "no-such-program"), "no-such-program")
    nothing_left(hull)


# --- IDs and verbs

def case_wrong_id(ctx, where):
    hull = runtime(ctx, where)
    folder = hull.bundle(spec_of(ctx))
    for cid in ("", ".", "..", "a/b", "../x", "a b", "ä", "x" * 2000, "a\nb"):
        refused(hull("run", "-b", folder, cid), "ID")
        refused(hull("delete", "--force", cid), "ID")
    for verb in (["state"], ["start"], ["kill"], ["delete"], ["exec", "--"], ["ps"], ["pause"], ["resume"], ["wait"]):
        words = verb + ["unknown"] + (["true"] if verb[0] == "exec" else [])
        refused(hull(*words), "unknown", "does not exist")
    assert hull("delete", "--force", "unknown").status == 0
    nothing_left(hull)


def case_wrong_words(ctx, where):
    hull = runtime(ctx, where)
    for words in ([], ["nosuchverb"], ["run"], ["run", "a", "b"], ["state"], ["kill"], ["delete"], ["exec"], ["exec", "x"], ["do"],
                  ["list", "x"], ["ps"], ["help", "nosuchverb"], ["kill", "x", "NOSIG"], ["list", "--format", "xml"], ["ps", "-f", "xml", "x"],
                  ["run", "--nosuchflag", "x"], ["run", "--bundle"], ["do", "--uid", "x", "--", "true"], ["run", "--detach=maybe", "x"]):
        done = hull(*words)
        assert done.status == 128, f"{words}: status {done.status}"
        if words:
            refused(done)
    for flags in (["--nosuchflag"], ["--platform=none"], ["--platform=kvm"], ["--network=sandbox"], ["--network=x"], ["--overlay2=x"],
                  ["--file-access=x"], ["--log-format=x"], ["--root=relative"], ["--debug=perhaps"], ["--workers=x"], ["--strace"],
                  ["--log=/nonexistent/log"], ["--debug-log=/nonexistent/log"]):
        refused(hull("do", "--", "true", flags=flags), flags[0].partition("=")[0])
    nothing_left(hull)


def case_second_of_one_id(ctx, where):
    hull = runtime(ctx, where)
    folder = hull.bundle(spec_of(ctx, SLEEP))
    assert hull.detached("run", "-d", "-b", folder, "one") == 0
    refused(hull("run", "-b", folder, "one"), "one", "exists already")
    refused(hull("create", "-b", folder, "one"), "one", "exists already")
    refused(hull("start", "one"), "one", "running")
    refused(hull("delete", "one"), "one", "running")
    assert hull.state_of("one")["status"] == "running"
    nothing_left(hull, after_delete="one")


# --- the state folder

def in_own_mounts(ctx, script, **names):
    """A shell script in a mount namespace of its own, so that what it mounts goes when it ends."""
    values = "".join(f"{k}={shlex.quote(str(v))}; " for k, v in names.items())
    return ctx.run(["unshare", "-m", "sh", "-c", values + script], 60)


def case_full_state_folder(ctx, where):
    hull = runtime(ctx, where)
    folder, full = hull.bundle(spec_of(ctx)), ctx.folder("full")
    command = shlex.join(["--platform=" + where, *ctx.args.hull_flag])
    done = in_own_mounts(ctx, "mount -t tmpfs -o size=16k none $full; cat /dev/zero >$full/fill 2>/dev/null; "
                         f"$hull --root $full {command} run -b $folder x; s=$?; ls $full >&2; "
                         f"$hull --root $full delete --force x || exit 99; exit $s", hull=ctx.args.hull, full=full, folder=folder)
    refused(done, "o space left")
    assert done.err.splitlines()[-1] == "fill", f"left behind: {done.err}"
    done = in_own_mounts(ctx, f"mount -t tmpfs -o nr_inodes=1 none $full; $hull --root $full {command} run -b $folder x",
                         hull=ctx.args.hull, full=full, folder=folder)
    refused(done, "o space left")


def case_readonly_state_folder(ctx, where):
    hull = runtime(ctx, where)
    folder, place = hull.bundle(spec_of(ctx)), ctx.folder("readonly")
    command = shlex.join(["--platform=" + where, *ctx.args.hull_flag])
    for root in (place, place + "/deeper/state"):
        refused(in_own_mounts(ctx, f"mount -t tmpfs -o ro none $place; $hull --root $root {command} run -b $folder x",
                              hull=ctx.args.hull, place=place, root=root, folder=folder), "ead-only file system")
    with open(os.path.join(place, "file"), "w"):
        pass
    hull.state = os.path.join(place, "file")
    refused(hull("run", "-b", folder, "x"), hull.state)


def case_damaged_state(ctx, where):
    hull = runtime(ctx, where)
    for number, text in enumerate(("", "{", "[]", '{"version":1}', '{"version":1,"sentry":{"pid":"x"}}')):
        os.makedirs(folder := os.path.join(hull.state, f"c{number}"))
        with open(os.path.join(folder, "state.json"), "w") as f:
            f.write(text)
        done = hull("state", f"c{number}")
        if done.status:
            refused(done, "state.json")
        assert hull("list").status == 0
        assert hull("delete", "--force", f"c{number}").status == 0
    nothing_left(hull)


# --- killed helpers

def child_of(pid, name):
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path) as f:
                children = f.read().split()
        except OSError:
            continue
        for child in children:
            try:
                with open(f"/proc/{child}/cmdline") as f:
                    if name in f.read().split("\0"):
                        return int(child)
            except OSError:
                pass
    return None


def living_children(pid):
    return [p for p, parent in descendants(pid).items() if parent == pid and process_state(p) != "Z"]


def started(hull, *words):
    """A foreground command whose program has printed its first line."""
    proc = subprocess.Popen(hull.argv(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)
    line = proc.stdout.readline()
    assert line == "ready\n", f"{line!r} {proc.communicate()[1]}"
    return proc


def ended(ctx, proc):
    try:
        out, err = proc.communicate(timeout=20 * ctx.args.slow)
    except subprocess.TimeoutExpired:
        os.killpg(proc.pid, signal.SIGKILL)
        out, err = proc.communicate()
        return Finished(None, out, err)
    return Finished(proc.returncode, out, err)


def kill_part_of(ctx, where, part, words, expect):
    hull = runtime(ctx, where)
    folder = hull.bundle(spec_of(ctx, SLEEP))
    proc = started(hull, *[folder if w == "BUNDLE" else w for w in words])
    pid = child_of(proc.pid, part)
    assert pid, f"no process {part}"
    others = [p for p in (child_of(proc.pid, "boot"), child_of(proc.pid, "gofer")) if p]
    os.kill(pid, signal.SIGKILL)
    done = ended(ctx, proc)
    refused(done, *expect)
    wait_for(lambda: all(process_state(p) == "Z" for p in others), "the end of the sandbox's other processes")
    nothing_left(hull, after_delete="k")


def case_killed_sentry_of_run(ctx, where):
    kill_part_of(ctx, where, "boot", ["run", "-b", "BUNDLE", "k"], ["sentry", "killed"])


def case_killed_sentry_of_do(ctx, where):
    kill_part_of(ctx, where, "boot", ["do", "--", *SLEEP], ["sentry", "killed"])


def case_killed_gofer(ctx, where):
    """The program meets errors where it needs files that aren't open yet; the sandbox itself lives on, or ends, but never hangs."""
    hull = runtime(ctx, where)
    script = "echo ready; read x; ls /usr/share/doc/* >/dev/null 2>&1; exit 7"
    proc = subprocess.Popen(hull.argv("run", "-b", hull.bundle(spec_of(ctx, ["sh", "-c", script])), "k"), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert proc.stdout.readline() == "ready\n"
    os.kill(child_of(proc.pid, "gofer"), signal.SIGKILL)
    done = ended(ctx, proc)
    assert done.status not in (0, None), done.said
    nothing_left(hull, after_delete="k")


def kill_stubs(ctx, where, which):
    """Which process runs what is the platform's business: with each stub killed in turn, the command must end."""
    hull = runtime(ctx, where)
    proc = started(hull, "do", "--", "sh", "-c", "echo ready; sleep 1000; exit 7")
    sentry = child_of(proc.pid, "boot")

    def next_killed():
        stubs = living_children(sentry)
        if proc.poll() is None and stubs:
            try:
                os.kill(which(stubs), signal.SIGKILL)
            except ProcessLookupError:
                pass
        return proc.poll() is not None
    wait_for(next_killed, "the command's end", 20 * ctx.args.slow)
    done = ended(ctx, proc)
    assert done.status > 0, done.said


def case_killed_stub(ctx, where):
    kill_stubs(ctx, where, max)


def case_killed_oldest_stub(ctx, where):
    """Which on some platforms runs nothing itself, and is needed to make others."""
    kill_stubs(ctx, where, min)


def case_killed_command(ctx, where):
    hull = runtime(ctx, where)
    proc = started(hull, "run", "-b", hull.bundle(spec_of(ctx, SLEEP)), "k")
    parts = [child_of(proc.pid, "boot"), child_of(proc.pid, "gofer")]
    os.kill(proc.pid, signal.SIGKILL)
    proc.communicate()
    wait_for(lambda: all(process_state(p) == "Z" for p in parts), "the end of the sandbox whose command was killed")
    assert hull.state_of("k")["status"] == "stopped"
    refused(hull("exec", "k", "true"), "stopped")
    nothing_left(hull, after_delete="k")


def case_killed_do(ctx, where):
    hull = runtime(ctx, where)
    proc = started(hull, "do", "--", *SLEEP)
    parts = [child_of(proc.pid, "boot"), child_of(proc.pid, "gofer")]
    os.kill(proc.pid, signal.SIGKILL)
    proc.communicate()
    wait_for(lambda: all(process_state(p) == "Z" for p in parts), "the end of the sandbox whose command was killed")
    nothing_left(hull)


def case_killed_create(ctx, where):
    hull = runtime(ctx, where)
    spec = spec_of(ctx, SLEEP)
    mark = os.path.join(ctx.folder("mark"), "here")
    spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"echo $$ >{mark}.new; mv {mark}.new {mark}; exec sleep 1000"]}]}
    proc = subprocess.Popen(hull.argv("create", "-b", hull.bundle(spec), "k"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(lambda: os.path.exists(mark), "the hook")
    parts = processes_of(hull.state)
    assert len(parts) == 2, parts
    os.kill(proc.pid, signal.SIGKILL)
    proc.wait()
    with open(mark) as f:
        os.kill(int(f.read()), signal.SIGKILL)      # the hook is the caller's own
    wait_for(lambda: all(process_state(p) == "Z" for p in parts), "the end of the sandbox that nobody can start any more")
    refused(hull("start", "k"), "stopped")
    nothing_left(hull, after_delete="k")


def case_killed_sentry_of_detached(ctx, where):
    hull = runtime(ctx, where)
    assert hull.detached("run", "-d", "-b", hull.bundle(spec_of(ctx, SLEEP)), "k") == 0
    sentry = hull.state_of("k")["pid"]
    waiting = subprocess.Popen(hull.argv("wait", "k"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    in_it = started(hull, "exec", "k", *SLEEP)
    os.kill(sentry, signal.SIGKILL)
    refused(ended(ctx, waiting))
    refused(ended(ctx, in_it), "sandbox")
    hull.wait_status("k", "stopped")    # its descriptors are closed a moment before it is gone
    for words in (["exec", "k", "true"], ["kill", "k"], ["ps", "k"], ["pause", "k"], ["start", "k"], ["wait", "k"]):
        refused(hull(*words), "k")
    nothing_left(hull, after_delete="k")


def case_failing_hook(ctx, where):
    hull = runtime(ctx, where)
    for kind in ("prestart", "createRuntime", "createContainer"):
        for path, args, word in (("/bin/false", None, "status 1"), ("/nonexistent", None, "/nonexistent"),
                                 ("/bin/sh", ["sh", "-c", "kill -9 $$"], "signal 9"), ("/bin/sleep", ["sleep", "1000"], "longer")):
            spec = spec_of(ctx)
            spec["hooks"] = {kind: [{"path": path, "timeout": 1 if word == "longer" else 30, **({"args": args} if args else {})}]}
            refused(hull("run", "-b", hull.bundle(spec), "h"), f"hooks.{kind}[0]", word)
            nothing_left(hull)


# --- the caller's descriptors and user

def case_closed_descriptors(ctx, where):
    hull = runtime(ctx, where)
    command = shlex.join(hull.argv("do", "--"))
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = ctx.run(["sh", "-c", f"{command} sh -c 'exit 5' {closed}"], 30)
        assert done.status is not None, f"{closed}: it hangs"
        assert done.status == 5 or done.status == 128, f"{closed}: {done.said}"
    # What was closed is /dev/null inside, whatever hull itself has opened since.
    look = "for n in 0 2; do stat -L -c '%F %t:%T' /proc/self/fd/$n; done; cat"
    bundle = shlex.join(hull.argv("run", "-b", hull.bundle(spec_of(ctx, ["sh", "-c", look])), "c"))
    for line in (f"{command} sh -c {shlex.quote(look)} <&- 2>&-", f"{bundle} <&- 2>&-"):
        done = ctx.run(["bash", "-c", line], 30)
        assert done.out == "character special file 1:3\n" * 2 and done.status == 0, f"{line}: {done}"


def case_dead_reader(ctx, where):
    hull = runtime(ctx, where)
    command = shlex.join(hull.argv("do", "--"))
    done = ctx.run(["bash", "-c", f"{command} yes | head -n 1; echo ${{PIPESTATUS[0]}}"], 30)
    assert done.out == "y\n141\n", done.out
    done = ctx.run(["bash", "-c", f"{shlex.join(hull.argv('help', 'syscalls'))} | head -n 1 >/dev/null; true"], 30)
    assert done.status == 0 and not done.err, done.said


def case_not_root(ctx, where):
    hull = runtime(ctx, where)
    # The build may lie where only root can look.
    hull.ctx = copy.copy(ctx)
    hull.ctx.args = copy.copy(ctx.args)
    hull.ctx.args.hull = shutil.copy(ctx.args.hull, ctx.folder("bin"))
    refused(hull("do", "--", "true", user=65534, group=65534, extra_groups=[]), "root")
    refused(hull("run", "-b", hull.bundle(spec_of(ctx)), "x", user=65534, group=65534, extra_groups=[]))


GROUPS = {
    "bundle": [case_wrong_fields, case_not_json, case_no_bundle],
    "program": [case_program, case_unreadable_program, case_cwd_missing, case_failing_hook],
    "words": [case_wrong_id, case_wrong_words, case_second_of_one_id],
    "state": [case_full_state_folder, case_readonly_state_folder, case_damaged_state],
    "killed": [case_killed_sentry_of_run, case_killed_sentry_of_do, case_killed_gofer, case_killed_stub, case_killed_oldest_stub, case_killed_command,
               case_killed_do, case_killed_create, case_killed_sentry_of_detached],
    "caller": [case_closed_descriptors, case_dead_reader, case_not_root],
}


def run_group(group, where, ctx):
    return run_cases(ctx, f"bad/{group}", where, GROUPS[group])


def jobs(ctx):
    for where in ("systrap", "ptrace"):
        for group in GROUPS:
            yield Job(f"bad/{group}@{where}", functools.partial(run_group, group, where), where)
