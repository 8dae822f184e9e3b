"""Runs a learner's code apart: another process, an empty folder, little time, little memory.

What keeps the learner's kernel and files out of reach: the process starts with an empty
environment in a folder that is deleted afterwards, and an audit hook refuses files outside that
folder (Python's own library may be read), the network, other processes and foreign libraries. On
Linux with Landlock the kernel refuses files and signals as well, to code written in C too. This is
against mistakes, such as a loop that never ends or `rmtree("~")`; it is no prison for somebody who
means to break out, and what is run here is what the learner typed on their own machine.

Memory is limited with RLIMIT_DATA (what the process may write to) and not with RLIMIT_AS (its
addresses): importing torch takes 3.2 GB of addresses and 0.75 GB of data before a line has run.
The libraries an answer imports are therefore loaded first, and the limits of time and memory begin
after them. Windows has none of these limits; the time limit holds everywhere.
"""

import ast
import contextlib
import ctypes
import importlib
import io
import json
import math
import os
import re
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

ANSWER = "<your answer>"
LIBRARIES = {"fastai", "matplotlib", "numpy", "pandas", "PIL", "torch", "torchvision"}
START = 60.0  # seconds a slow machine may take to import those
SHOWN = 10_000  # characters of output kept
FILE_BYTES = 16 << 20  # the largest file an answer may write


@dataclass(frozen=True)
class CodeResult:
    """What came of an answer: one bool a check, and a sentence when something went wrong."""

    passed: list[bool]
    error: str | None
    output: str
    timed_out: bool = False


def run_code(
    source: str, checks: list[str], seconds: float = 5.0, megabytes: int = 512
) -> CodeResult:
    """Run `source`, then each of `checks` in its namespace, in a process of its own.

    A check is an expression that must be true, or statements (`assert`) that must not raise. The
    value of a last expression is `_`, as in a notebook. `seconds` and `megabytes` are counted on
    top of starting Python and importing libraries. Raises `OSError` when no process can be started.
    """
    token = secrets.token_hex(16)
    job = {"token": token, "source": source, "checks": checks}
    job |= {"seconds": seconds, "megabytes": megabytes}
    with (
        tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as output,
    ):
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # for the verdicts: the child gives the learner's code another
            stderr=output,
            cwd=os.path.realpath(folder),
            env=_environment(folder),
            start_new_session=os.name == "posix",
        )
        messages, timed_out = _converse(process, job, seconds)
        output.seek(0)
        text = output.read(4 * SHOWN).decode("utf-8", "replace")
    passed = [bool(messages.get(f"check {number}")) for number in range(len(checks))]
    error = messages.get("error")
    if timed_out and "ready" not in messages:
        error = f"Python and its libraries did not start within {START:g} seconds: try again"
    elif timed_out:
        error = f"stopped after {seconds:g} seconds: is there a loop that never ends?"
    elif "done" not in messages:
        error = error or _last_words(process.returncode)
    return CodeResult(passed, error, text[:SHOWN], timed_out)


def _environment(folder: str) -> dict[str, str]:
    names = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP")
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {key: os.environ[key] for key in ("SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    return (
        kept
        | dict.fromkeys(names, folder)
        | dict.fromkeys(threads, "1")
        | {"CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg", "LANG": "C.UTF-8"}
    )


def _converse(process: subprocess.Popen, job: dict, seconds: float) -> tuple[dict, bool]:
    """Send the job and read what the child reports, until it ends or its time is up."""
    late: list[bool] = []

    def stop() -> None:
        late.append(True)
        _kill(process)

    timer = Timer(START, stop)
    messages: dict = {}
    with process:
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(job).encode())
            for line in process.stdout:
                said = _message(line, job["token"])
                if "ready" in said:
                    timer.cancel()
                    timer = Timer(seconds, stop)
                    timer.start()
                messages |= said
                if "done" in said:
                    break
        finally:
            timer.cancel()
            _kill(process)  # and whatever it may have started
    return messages, bool(late) and "done" not in messages


def _message(line: bytes, token: str) -> dict:
    """What a line says, if it is the child's own: the learner's code does not know the token."""
    try:
        said = json.loads(line)
        return said if said.pop("token") == token else {}
    except (ValueError, KeyError, AttributeError):
        return {}


def _kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()


def _last_words(code: int) -> str:
    if code < 0:
        return f"your code crashed Python itself ({signal.Signals(-code).name})"
    return f"your code ended Python before it was checked (exit code {code})"


# -- in the child ----------------------------------------------------------------------------------


def _child() -> None:
    job = json.load(sys.stdin)
    verdicts = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(0)  # noqa: SIM115 - lives as long as the process
    sys.stdout = sys.stderr = _Capped()

    def say(**message: object) -> None:
        verdicts.write(json.dumps(message | {"token": job["token"]}) + "\n")
        verdicts.flush()

    _import_libraries("\n".join([job["source"], *job["checks"]]))
    _limit(job["seconds"], job["megabytes"])
    _landlock(str(Path.cwd()))
    _refuse_the_rest(str(Path.cwd()))
    say(ready=True)
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    error = _problem(lambda: _run(job["source"], main.__dict__))
    say(error=error)
    for number, check in enumerate(job["checks"]):
        problem = _problem(lambda check=check: _check(check, main.__dict__))
        say(**{f"check {number}": problem is None})
        if problem and not error:
            error = problem
            say(error=problem)
    say(done=True)
    os._exit(0)  # not the learner's atexit functions and threads


def _run(source: str, names: dict) -> None:
    tree = ast.parse(source, ANSWER)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, ANSWER, "exec"), names)
    if last:
        names["_"] = eval(compile(ast.Expression(last.value), ANSWER, "eval"), names)


class _Failed(Exception):
    """A check that came out false; there is nothing to say about it beyond that."""


def _check(check: str, names: dict) -> None:
    try:
        code, is_value = compile(check, "<check>", "eval"), True
    except SyntaxError:
        code, is_value = compile(check, "<check>", "exec"), False
    if not eval(code, names) and is_value:
        raise _Failed


def _problem(run: Callable[[], None]) -> str | None:
    """None if all went well, "" for a check that is merely false, else a line to read."""
    try:
        run()
    except (_Failed, AssertionError) as error:
        return "" if not str(error) else str(error)[:500]
    except BaseException as error:
        return _readable(error)
    return None


def _readable(error: BaseException) -> str:
    line, trace = getattr(error, "lineno", None), error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == ANSWER:
            line = trace.tb_lineno
        trace = trace.tb_next
    words = {
        MemoryError: "your code took more memory than an answer may",
        RecursionError: "a function calls itself without end",
        SystemExit: "your code ended Python before it was checked",
    }
    told = next((told for kind, told in words.items() if isinstance(error, kind)), None)
    try:
        told = told or (error.msg if isinstance(error, SyntaxError) else str(error))
    except BaseException:
        told = "(it cannot say what went wrong)"
    where = f"{ANSWER}, line {line}: " if line else ""
    return f"{where}{type(error).__name__}: {told}"[:500]


class _Capped(io.TextIOBase):
    """Standard output that keeps the beginning and drops the rest."""

    left = SHOWN + 1

    def write(self, text: str) -> int:
        kept = text[: self.left].encode("utf-8", "replace")
        self.left -= len(text[: self.left])
        while kept:
            kept = kept[os.write(1, kept) :]
        return len(text)


def _import_libraries(text: str) -> None:
    for line in re.findall(r"^\s*(?:import|from)\b(.*)", text, re.MULTILINE):
        for name in re.findall(r"[\w.]+", line):
            if name.split(".")[0] in LIBRARIES:
                with contextlib.suppress(Exception):  # the learner's own import says what is wrong
                    importlib.import_module(name)


def _limit(seconds: float, megabytes: int) -> None:
    """Set the limits on top of what starting up took; does nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limits = {
        "CPU": math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1,
        "FSIZE": FILE_BYTES,
        "CORE": 0,
    }
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        used = int(re.search(r"VmData:\s*(\d+) kB", status)[1])
        limits["DATA"] = used * 1024 + megabytes * 2**20
    for name, value in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def _readable_folders() -> list[str]:
    """Python, its packages and the system's libraries; the learner's folders are not among them."""
    system = ["/usr", "/lib", "/lib64", "/System", "/Library", "/etc", "/sys/devices", "/dev/null"]
    system += ["/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo"]
    folders = [sys.prefix, sys.base_prefix, sys.exec_prefix, *system]
    return [os.path.realpath(folder) for folder in folders if Path(folder).exists()]


# The system calls have these numbers on every processor.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ = 0b1101  # execute, read files, list folders
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many there are in which version of Landlock


def _landlock(folder: str) -> None:
    """Have the Linux kernel refuse other files, connections and signals, where it can."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return  # an older kernel: the audit hook alone must do
    rights = (1 << FILE_RIGHTS.get(version, 16)) - 1
    rules = struct.pack("QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    rules = rules[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = libc.syscall(CREATE_RULESET, rules, len(rules), 0)
    for path, allowed in [*((path, READ) for path in _readable_folders()), (folder, rights)]:
        if not Path(path).is_dir():
            allowed = 0b110  # read and write: such as /dev/null
        opened = os.open(path, os.O_PATH)
        libc.syscall(ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed & rights, opened), 0)
        os.close(opened)
    no_new_privileges = 38
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    libc.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


REFUSED = (
    *("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system"),
    *("os.startfile", "os.kill", "pty.", "signal.pthread_kill", "ctypes.dlsym", "resource."),
    *("winreg.", "_winapi.CreateProcess", "webbrowser."),
)
READS = {"os.listdir", "os.scandir", "ctypes.dlopen"}
WRITES = {  # event -> which of its arguments are paths
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod"), (0,)),
    **dict.fromkeys(("os.chown", "os.utime", "os.setxattr", "os.removexattr"), (0,)),
    **dict.fromkeys(("os.chflags", "os.chdir", "sqlite3.connect"), (0,)),
    **dict.fromkeys(("os.rename", "os.link"), (0, 1)),
    "os.symlink": (1,),
}


def _refuse_the_rest(folder: str) -> None:
    """From here on, refuse what an answer has no business with, on every system."""
    readable = tuple(_readable_folders())

    def inside(path: object, folders: tuple[str, ...]) -> bool:
        if path is None or isinstance(path, int):
            return True  # the current folder, or something already open
        real = os.path.realpath(os.fsdecode(path))
        return any(real == one or real.startswith(one + os.sep) for one in folders)

    def refuse(what: str) -> None:
        raise PermissionError(f"an answer may not {what}: it runs apart, in an empty folder")

    def hook(event: str, arguments: tuple) -> None:
        if event.startswith(REFUSED):
            refuse(f"use {event}")
        elif event == "open":
            path, _, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if not inside(path, (folder,) if writes else (folder, *readable)):
                refuse(f"open {path!r}")
        elif event in READS and not inside(arguments[0], (folder, *readable)):
            refuse(f"read {arguments[0]!r}")
        elif event in WRITES:
            for number in WRITES[event]:
                if not inside(arguments[number], (folder,)):
                    refuse(f"change {arguments[number]!r}")

    def no_process(*_: object) -> None:
        refuse("start another process")

    with contextlib.suppress(ImportError):
        import _posixsubprocess  # which tells no audit hook

        _posixsubprocess.fork_exec = no_process
    sys.addaudithook(hook)


if __name__ == "__main__":
    _child()
