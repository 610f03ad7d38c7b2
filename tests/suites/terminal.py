"""Terminals as an operator meets them: hull on a host pty, driven as by hand. Waits for what appears, never for time."""
import array
import fcntl
import functools
import os
import pty
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from .bundles import config, root_folder, run_cases, runtime, wait_for
from .job import Job

PROMPT = "ready> "
BASH = ["env", f"PS1={PROMPT}", "TERM=dumb", "INPUTRC=/dev/null", "HISTFILE=", "bash", "--norc", "--noprofile", "--noediting"]


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Screen:
    """The far side of a terminal: what is typed and what appears. Nothing here waits as long as the programs inside sleep."""

    def __init__(self, master, seconds=30):
        self.master, self.seconds = master, seconds
        self.text = ""      # all that appeared so far
        self.seen = 0       # how much of it expect() has passed

    def read(self, deadline):
        """More text; False at the end."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.master], [], [], left)[0]:
            raise AssertionError(f"nothing more appears after {self.text[-300:]!r}")
        try:
            data = os.read(self.master, 65536)
        except OSError:     # the other side is closed
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern):
        """Waits until it appears behind what was seen already; the match."""
        deadline = time.monotonic() + self.seconds
        while not (m := re.compile(pattern).search(self.text, self.seen)):
            assert self.read(deadline), f"the end, and no {pattern!r} in {self.text[-300:]!r}"
        self.seen = m.end()
        return m

    def press(self, key, pattern):
        """Types a key until this is the answer: a program may not have been ready for it, here as on the host."""
        deadline = time.monotonic() + self.seconds
        while True:
            self.type(key)
            again = time.monotonic() + self.seconds / 10
            while not (m := re.compile(pattern).search(self.text, self.seen)) and time.monotonic() < again:
                assert time.monotonic() < deadline, f"{key!r} has no effect: {self.text[-300:]!r}"
                if select.select([self.master], [], [], 0.1)[0]:
                    assert self.read(deadline), f"the end, and no {pattern!r} in {self.text[-300:]!r}"
            if m:
                self.seen = m.end()
                return m

    def type(self, text):
        os.write(self.master, text.encode())

    def rest(self):
        deadline = time.monotonic() + self.seconds
        while self.read(deadline):
            pass
        return self.text[self.seen:]

    def modes(self):
        return termios.tcgetattr(self.master)


opened = threading.local()      # terminals of the case that this thread runs


def session_members(sid):
    members = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == sid and fields[0] != "Z":
            members.append(int(pid))
    return members


class Terminal(Screen):
    """A process that leads a session on a terminal of its own: a command, or a shell that runs it."""

    def __init__(self, ctx, argv, rows=24, columns=80, cwd="/tmp"):
        master, slave = pty.openpty()
        super().__init__(master, 30 * ctx.args.slow)
        set_size(master, rows, columns)
        self.before = self.modes()
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave      # kept, so that the modes can be looked at after the end
        opened.terminals.append(self)

    def wait(self):
        """The exit status; all that is still to appear is read first."""
        deadline = time.monotonic() + self.seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"no end after {self.text[-300:]!r}"
            if select.select([self.master], [], [], 0.02)[0]:
                self.read(deadline)
        while select.select([self.master], [], [], 0)[0] and self.read(deadline):
            pass
        return self.process.returncode

    def close(self):
        for pid in session_members(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.master >= 0:
            os.close(self.slave)
            os.close(self.master)
            self.master = -1


def do(ctx, where, *command, **more):
    return Terminal(ctx, ctx.hull(where, "do", "--", *command), **more)


def bash(ctx, where, **more):
    """An interactive bash in the sandbox, at its first prompt."""
    t = do(ctx, where, *BASH, **more)
    t.expect(re.escape(PROMPT))
    return t


def command(t, line):
    """What a line typed at the prompt prints."""
    t.type(line + "\n")
    t.expect(re.escape(line) + r"\r\n")
    begin = t.seen
    end = t.expect(re.escape(PROMPT)).start()
    return t.text[begin:end]


def same(found, wanted):
    assert found == wanted, f"{found!r}, not {wanted!r}"


# --- bash in the sandbox

def case_prompt(ctx, where):
    t = bash(ctx, where)
    assert "job control" not in t.text, t.text
    same(command(t, "echo one; echo two"), "one\r\ntwo\r\n")
    same(command(t, "tty"), "/dev/pts/0\r\n")
    same(command(t, "test -t 0 && test -t 1 && test -t 2 && echo all"), "all\r\n")
    t.type("exit 7\n")
    assert t.wait() == 7, t.text
    assert t.modes() == t.before, "the terminal's modes were not restored"


def case_interrupt(ctx, where):
    t = bash(ctx, where)
    t.type("sh -c 'echo go; exec sleep 1000'\n")
    t.expect("\ngo\r\n")
    t.press("\x03", re.escape(PROMPT))
    same(command(t, "echo $?"), "130\r\n")


def case_jobs(ctx, where):
    t = bash(ctx, where)
    t.type("sh -c 'echo go; exec sleep 1000'\n")
    t.expect("\ngo\r\n")
    t.press("\x1a", r"\[1\]\+ +Stopped +sh -c")
    t.expect(re.escape(PROMPT))
    assert "Stopped" in command(t, "jobs")
    command(t, "bg")
    assert "Running" in command(t, "jobs")
    t.type("fg\n")
    t.expect("\r\nsh -c .*exec sleep 1000.*\r\n")
    t.press("\x03", re.escape(PROMPT))
    same(command(t, "jobs; echo $?"), "0\r\n")


def case_background_read(ctx, where):
    t = bash(ctx, where)
    command(t, "cat &")
    wait_for(lambda: "Stopped" in command(t, "jobs"), "the background reader's stop", t.seconds)
    t.type("fg\n")
    t.expect("\r\ncat\r\n")
    t.type("hello\n")
    t.expect("hello\r\nhello\r\n")
    t.type("\x04")
    t.expect(re.escape(PROMPT))


def case_line_editing(ctx, where):
    t = bash(ctx, where)
    t.type("sh -c 'echo go; exec cat'\n")
    t.expect("\ngo\r\n")
    t.type("abx\x7fc one two\x17three\n")
    t.expect("\r\nabc one three\r\n")
    t.type("\x04")
    t.expect(re.escape(PROMPT))


def case_resize(ctx, where):
    t = bash(ctx, where, rows=30, columns=90)
    same(command(t, "stty size"), "30 90\r\n")
    command(t, "trap 'echo size is $(stty size)' WINCH")
    set_size(t.master, 41, 123)
    # The shell is told, not only the command that is typed next; it runs traps between commands.
    wait_for(lambda: command(t, "stty size") and "\nsize is 41 123\r\n" in t.text, "the trap", t.seconds)
    same(command(t, "stty size"), "41 123\r\n")
    same(t.text.count("\nsize is"), 1)


def case_full_screen(ctx, where):
    t = do(ctx, where, "sh", "-c", "stty raw -echo; echo go; dd bs=1 count=3 2>/dev/null | od -An -tx1; stty sane")
    t.expect("go\n")
    t.type("\x03\x1a\r")
    t.expect("03 1a 0d")
    assert t.wait() == 0


def case_much_output(ctx, where):
    t = do(ctx, where, "seq", "50000")
    t.expect("\r\n49999\r\n50000\r\n")
    assert t.wait() == 0
    assert t.text.count("\n") == 50000


def case_much_input(ctx, where):
    t = do(ctx, where, "sh", "-c", "stty raw -echo; echo go; head -c 200000 | wc -c; stty sane")
    t.expect("go\n")
    sender = threading.Thread(target=lambda: [t.type("x" * 1000) for _ in range(200)])
    sender.start()
    t.expect("200000")
    sender.join()
    assert t.wait() == 0


def case_terminal_in_terminal(ctx, where):
    """Pseudoterminals of the sandbox: script(1) makes one."""
    t = do(ctx, where, "script", "-qec", "exec sh -c 'tty; stty size; exec sleep 1000'", "/dev/null", rows=33, columns=77)
    t.expect(r"/dev/pts/1\r\n33 77\r\n")
    t.type("\x03")
    assert t.wait() == 128 + signal.SIGINT


# --- plain commands

def case_plain_interrupt(ctx, where):
    # The inner shell says when there is somebody to interrupt: the outer one alone is deaf while it makes a process, on Linux, too.
    t = do(ctx, where, "sh", "-c", "sh -c 'echo go; exec sleep 1000'; echo never")
    t.expect("go\r\n")
    t.type("\x03")
    assert t.wait() == 128 + signal.SIGINT
    assert "never" not in t.text
    assert t.modes() == t.before, "the terminal's modes were not restored"


def case_hangup(ctx, where):
    """A window is closed: what runs in it ends, and nothing is left."""
    t = do(ctx, where, "sh", "-c", "echo go; sleep 1000")
    t.expect("go\r\n")
    os.close(t.slave)
    os.close(t.master)
    t.master = -1
    t.process.wait(30 * ctx.args.slow)
    assert t.process.returncode == 128 + signal.SIGHUP


def case_killed(ctx, where):
    t = do(ctx, where, "sh", "-c", "echo go; kill -9 $$")
    assert t.wait() == 128 + signal.SIGKILL
    assert t.modes() == t.before, "the terminal's modes were not restored"


# --- beside other commands, under a shell of the host's

def shell_line(ctx, where, text, *inside):
    """A host's shell command in which {} is `hull do -- inside…`."""
    line = text.replace("{}", shlex.join(ctx.hull(where, "do", "--", *inside)))
    return Terminal(ctx, ["bash", "-c", line])


def case_output_to_pipe(ctx, where):
    t = shell_line(ctx, where, "{} | od -c; stty -a", "printf", "a\\nb\\n")
    t.expect(r"a +\\n +b +\\n")
    t.expect("icanon")      # while and after: nobody took the terminal's modes away
    assert t.wait() == 0


def case_output_beside_pipe(ctx, where):
    """The rest of a pipeline has the terminal as it was, until the sandbox reads from it."""
    t = shell_line(ctx, where, "{} | sh -c 'cat; stty -a < /dev/tty | grep -ow opost'", "sh", "-c", "echo one; echo two >&2")
    t.expect("opost")
    assert t.wait() == 0
    assert sorted(t.text.split("\r\n")) == ["", "one", "opost", "two"], t.text


def case_input_from_pipe(ctx, where):
    t = shell_line(ctx, where, "echo hello | {}", "sh", "-c", "tr a-z A-Z; test -t 0 || echo not; test -t 1 && echo but; stty size < /dev/tty")
    assert t.wait() == 0
    assert t.text == "HELLO\r\nnot\r\nbut\r\n24 80\r\n", t.text


def case_key_beside_pipe(ctx, where):
    """As a pager does: text from a pipe, keys from the terminal."""
    t = shell_line(ctx, where, "echo text | {}", "sh", "-c", "cat; stty -icanon -echo < /dev/tty; echo go; "
                   "dd bs=1 count=1 2>/dev/null < /dev/tty | od -An -c; stty sane < /dev/tty")
    t.expect("text\r\ngo\r\n")
    t.type("k")
    t.expect(" k\r\n")
    assert t.wait() == 0
    assert t.modes() == t.before, "the terminal's modes were not restored"


def case_answer_beside_pipe(ctx, where):
    t = shell_line(ctx, where, "{} | cat", "sh", "-c", "echo go; read line; echo got $line")
    t.expect("go\r\n")
    t.type("an answer\n")
    t.expect("got an answer\r\n")
    assert t.wait() == 0


def case_interrupt_beside_pipe(ctx, where):
    t = shell_line(ctx, where, "{} | cat; echo status ${PIPESTATUS[0]}", "sh", "-c", "trap 'echo caught >&2; exit 5' INT; echo go; while :; do sleep 1000; done")
    t.expect("go\r\n")
    t.press("\x03", "caught\r\n")
    t.wait()


def case_to_file(ctx, where):
    path = os.path.join(ctx.folder("out"), "out")
    t = shell_line(ctx, where, "{} > " + path, "sh", "-c", "echo to file; echo to screen >&2")
    assert t.wait() == 0
    with open(path) as f:
        assert f.read() == "to file\n"
    assert t.text == "to screen\r\n", t.text


def host_shell(ctx):
    t = Terminal(ctx, BASH)
    t.expect(re.escape(PROMPT))
    return t


def case_suspend(ctx, where):
    """Stopped from outside, and continued: the shell gets its terminal meanwhile."""
    t = host_shell(ctx)
    t.type(shlex.join(ctx.hull(where, "do", "--", *[w.replace(PROMPT, "inside> ") for w in BASH])) + "\n")
    t.expect("\ninside> ")
    with open(f"/proc/{t.process.pid}/task/{t.process.pid}/children") as f:
        hull = int(f.read().split()[0])
    os.kill(hull, signal.SIGTSTP)
    t.expect("Stopped")
    t.expect(re.escape(PROMPT))
    same(command(t, "echo outside"), "outside\r\n")
    t.type("fg\n")
    t.expect("fg\r\n")
    t.type("echo at $HOSTNAME\n")
    t.expect("at hull\r\n")
    t.type("exit 3\n")
    t.expect(re.escape(PROMPT))
    same(command(t, "echo $?"), "3\r\n")


def case_background(ctx, where):
    """In the background it runs, takes nothing that is typed, and comes to the foreground as any job."""
    t = host_shell(ctx)
    command(t, shlex.join(ctx.hull(where, "do", "--", "sh", "-c", "echo begun; cat; exit 4")) + " &")
    t.seen = 0
    t.expect("\nbegun\r\n|> begun\r\n")
    assert "Running" in command(t, "jobs")
    assert command(t, "echo mine").endswith("mine\r\n")
    t.type("fg\n")
    t.expect("sh -c .*\r\n")
    wait_for(lambda: not t.modes()[3] & termios.ICANON, "the terminal's being passed on", t.seconds)
    t.type("to cat\n")
    t.expect("to cat\r\n")
    t.type("\x04")
    t.expect(re.escape(PROMPT))
    same(command(t, "echo $?"), "4\r\n")


# --- containers

def spec_of(ctx, args, **process):
    spec = config(root_folder(ctx), args, terminal=True, **process)
    spec["mounts"].append({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                           "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]})
    return spec


def sh(script):
    return ["sh", "-c", script]


def case_run(ctx, where):
    """hull run and runc run: the same on the screen."""
    texts = []
    for runs in ("runc", where):
        oci = runtime(ctx, runs)
        t = Terminal(ctx, oci.argv("run", "-b", oci.bundle(spec_of(ctx, sh("test -t 0 && test -t 2 && echo tty; read x; echo $x; exit 6"))),
                                   f"t{os.getpid()}-{where}", flags=["--log=/dev/null"]))
        t.expect("tty\r\n")
        t.type("line\n")
        assert t.wait() == 6, f"{runs}: {t.text}"
        texts.append(t.text)
        assert t.modes() == t.before, f"{runs}: the terminal's modes were not restored"
    assert texts[0] == texts[1], texts


def case_exec(ctx, where):
    oci = runtime(ctx, where)
    cid = f"t{os.getpid()}-{where}"
    assert oci.detached("run", "--detach", "-b", oci.bundle({**spec_of(ctx, sh("exec sleep 1000")), "process": config(root_folder(ctx), sh("exec sleep 1000"))["process"]}), cid) == 0
    t = Terminal(ctx, oci.argv("exec", "-t", cid, "bash", "--norc"), rows=20, columns=70)
    t.expect("# ")
    assert "job control" not in t.text
    t.type("stty size; sh -c 'echo go; exec sleep 1000'\n")
    t.expect("20 70\r\ngo\r\n")
    t.press("\x03", "# ")
    t.type("exit 9\n")
    assert t.wait() == 9
    # A terminal's name is free again when its command has ended.
    for _ in range(2):
        t = Terminal(ctx, oci.argv("exec", "-t", cid, "tty"))
        t.expect("/dev/pts/0\r\n")
        assert t.wait() == 0
    oci("delete", "--force", cid)


def receive_master(listener, seconds):
    listener.settimeout(seconds)
    conn, _ = listener.accept()
    conn.settimeout(seconds)
    _, ancillary, _, _ = conn.recvmsg(4096, socket.CMSG_SPACE(4))
    fds = array.array("i")
    fds.frombytes(ancillary[0][2][:4])
    return fds[0]


def case_console_socket(ctx, where):
    """create/start, run --detach and exec --detach with a console socket: a pty's master comes, as from runc."""
    oci = runtime(ctx, where)
    cid = f"t{os.getpid()}-{where}"
    path = os.path.join(ctx.folder("console"), "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    spec = spec_of(ctx, sh("stty size; echo name $(tty); read x; echo got $x; stty size; sh -c 'echo ready; exec sleep 1000'"), consoleSize={"height": 22, "width": 66})
    assert oci.detached("create", "-b", oci.bundle(spec), "--console-socket", path, cid) == 0
    screen = Screen(receive_master(listener, 30 * ctx.args.slow), 30 * ctx.args.slow)
    assert oci.detached("start", cid) == 0
    screen.expect("22 66\r\n")
    screen.expect(r"name /dev/\S+\r\n")
    set_size(screen.master, 44, 88)
    screen.type("abc\n")
    screen.expect("got abc\r\n44 88\r\nready\r\n")
    assert oci.detached("exec", "--detach", "--tty", "--console-socket", path, cid, "sh", "-c", "echo second; read y; echo $y") == 0
    second = Screen(receive_master(listener, 30 * ctx.args.slow), 30 * ctx.args.slow)
    second.expect("second\r\n")
    second.type("two\n")
    second.expect("two\r\ntwo\r\n")
    screen.type("\x03")     # sleep is not process 1
    screen.rest()
    os.close(screen.master)
    os.close(second.master)
    oci("delete", "--force", cid)


GROUPS = {
    "bash": [case_prompt, case_interrupt, case_jobs, case_background_read, case_line_editing, case_resize],
    "do": [case_full_screen, case_much_output, case_much_input, case_terminal_in_terminal, case_plain_interrupt, case_hangup, case_killed],
    "beside": [case_output_to_pipe, case_output_beside_pipe, case_input_from_pipe, case_key_beside_pipe, case_answer_beside_pipe,
               case_interrupt_beside_pipe, case_to_file, case_suspend, case_background],
    "container": [case_run, case_exec, case_console_socket],
}


def closing(case):
    """The case, and the end of every terminal that it opened."""
    @functools.wraps(case)
    def run(ctx, where):
        opened.terminals = []
        try:
            case(ctx, where)
        finally:
            for t in opened.terminals:
                t.close()
    return run


def run_group(group, where, ctx):
    return run_cases(ctx, f"terminal/{group}", where, [closing(c) for c in GROUPS[group]])


def jobs(ctx):
    for where in ("systrap", "ptrace"):
        for group in GROUPS:
            yield Job(f"terminal/{group}@{where}", functools.partial(run_group, group, where), where)
