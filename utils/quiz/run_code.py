"""Runs a learner's code apart: another process, an empty folder, little time, little memory.

The process starts with an empty environment in a folder that is deleted afterwards, and an audit
hook refuses files outside that folder (Python's own library may be read), the network, other
processes and foreign libraries. This is against mistakes, such as a loop that never ends or
`rmtree("~")`; it is no prison: what is run here is what the learner typed on their own machine.

Memory is limited with RLIMIT_DATA (what the process may write to) and not with RLIMIT_AS (its
addresses): importing torch takes 3.2 GB of addresses and 0.75 GB of data before a line has run.
The libraries an answer imports are therefore loaded first, and the limits of time and memory begin
after them. Windows has none of these limits; the time limit holds everywhere.
"""

import ast
import contextlib
import importlib
import json
import math
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import NoReturn

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
    source: str, checks: list[str], seconds: float = 10.0, megabytes: int = 512
) -> CodeResult:
    """Run `source`, then each of `checks` in its namespace, in a process of its own.

    A check is an expression that must be true, or statements (`assert`) that must not raise. The
    value of a last expression is `_`, as in a notebook. `seconds` and `megabytes` are counted on
    top of starting Python and importing libraries. Raises `OSError` when no process can be started.
    """
    token = secrets.token_hex(16)  # shows that a report is the child's own, not the answer's
    with (
        tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as job,
        tempfile.TemporaryFile() as output,
    ):
        job.write(json.dumps([token, source, checks, seconds, megabytes]).encode())
        job.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-u", "-X", "utf8", "-W", "ignore", __file__],
            bufsize=0,
            stdin=job,
            stdout=subprocess.PIPE,  # for reports: what the answer prints goes to `output`
            stderr=output,
            cwd=os.path.realpath(folder),
            env=_environment(folder),
            start_new_session=os.name == "posix",
        )
        lines, late = _reports(process, seconds)
        output.seek(0)
        printed = output.read(4 * SHOWN).decode("utf-8", "replace")[:SHOWN]
    report: dict = {}
    for line in lines:
        if line.startswith(f"{token} ".encode()):
            report |= json.loads(line.removeprefix(token.encode()))
    error, late, code = report.get("error"), late and "done" not in report, process.returncode
    if "ready" not in report:
        error = f"Python and its libraries did not start within {START:g} seconds: try again"
    elif late:
        error = f"stopped after {seconds:g} seconds: is there a loop that never ends?"
    elif "done" not in report and not error:
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        error = f"your code ended Python before it was checked ({how})"
    passed = [bool(report.get(f"check {number}")) for number in range(len(checks))]
    return CodeResult(passed, error, printed, late)


def _environment(folder: str) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    homes = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), folder)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return kept | homes | threads | {"CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}


def _reports(process: subprocess.Popen, seconds: float) -> tuple[list[bytes], bool]:
    """The lines that the child reports, and whether its time was up."""

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()

    timer, late = Timer(START, kill), False
    with process:
        try:
            timer.start()
            assert process.stdout
            ready = process.stdout.readline()
            timer.cancel()
            rest, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
            kill()
            rest, _ = process.communicate()
        finally:
            timer.cancel()
            kill()  # and whatever it may have started
    return [ready, *rest.splitlines()], late


# -- in the child ----------------------------------------------------------------------------------


def _child() -> None:
    token, source, checks, seconds, megabytes = json.load(sys.stdin)
    reports = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def report(**message: object) -> None:
        reports.write(f"{token} {json.dumps(message)}\n".encode())

    for line in re.findall(r"^\s*(?:import|from)\b(.*)", "\n".join([source, *checks]), re.M):
        for name in re.findall(r"[\w.]+", line):
            if name.split(".")[0] in LIBRARIES:
                with contextlib.suppress(Exception):  # the learner's own import says what is wrong
                    importlib.import_module(name)
    _limit(seconds, megabytes)
    _refuse_the_rest(str(Path.cwd()))
    report(ready=True)
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    error = _problem(_run, source, main.__dict__)
    report(error=error)
    for number, check in enumerate(checks):
        problem = _problem(_check, check, main.__dict__)
        error = error or problem
        report(**{f"check {number}": problem is None, "error": error or None})
    report(done=True)
    os._exit(0)  # not the learner's atexit functions and threads


def _run(source: str, names: dict) -> None:
    tree = ast.parse(source, ANSWER)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        name = ast.Name("_", ast.Store())
        tree.body[-1] = ast.Assign([name], tree.body[-1].value)
    exec(compile(ast.fix_missing_locations(tree), ANSWER, "exec"), names)


def _check(check: str, names: dict) -> None:
    try:
        code = compile(check, "<check>", "eval")
    except SyntaxError:
        exec(compile(check, "<check>", "exec"), names)
    else:
        assert eval(code, names)


REASONS = {
    MemoryError: "your code took more memory than an answer may",
    RecursionError: "a function calls itself without end",
    SystemExit: "your code ended Python before it was checked",
}


def _problem(run: Callable[[str, dict], None], code: str, names: dict) -> str | None:
    """None if all went well, "" for a check that is merely false, else a line to read."""
    try:
        run(code, names)
    except AssertionError as error:
        return str(error)[:500]
    except BaseException as error:
        line, trace = getattr(error, "lineno", None), error.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename == ANSWER:
                line = trace.tb_lineno
            trace = trace.tb_next
        where = f"{ANSWER}, line {line}: " if line else ""
        try:
            reason = REASONS.get(type(error)) or getattr(error, "msg", None) or str(error)
        except BaseException:
            reason = "(it cannot say what went wrong)"
        return f"{where}{type(error).__name__}: {reason}"[:500]
    return None


def _limit(seconds: float, megabytes: int) -> None:
    """Set the limits on top of what starting up took; does nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1
    limits = {resource.RLIMIT_CPU: cpu, resource.RLIMIT_FSIZE: FILE_BYTES, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text().split()
        used = int(status[status.index("VmData:") + 1])  # kB
        limits[resource.RLIMIT_DATA] = used * 1024 + megabytes * 2**20
    for number, value in limits.items():
        with contextlib.suppress(ValueError):  # there is a lower limit already
            resource.setrlimit(number, (value, value))


REFUSED = (
    *("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system"),
    *("os.startfile", "os.kill", "pty.", "signal.pthread_kill", "ctypes.dlsym", "resource."),
    *("winreg.", "_winapi.CreateProcess", "webbrowser.", "sqlite3.connect"),
)
READS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "ctypes.dlopen")


def _refuse_the_rest(folder: str) -> None:
    """From here on, refuse what an answer has no business with, on every system."""
    system = ["/usr", "/lib", "/lib64", "/System", "/Library", "/etc", "/sys/devices", "/dev/null"]
    system += ["/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo"]
    readable = [sys.prefix, sys.base_prefix, sys.exec_prefix, *system]
    to_read = (folder, *map(os.path.realpath, readable))

    def refuse(what: str) -> NoReturn:
        raise PermissionError(f"an answer may not {what}: it runs apart, in an empty folder")

    def hook(event: str, arguments: tuple) -> None:
        if event.startswith(REFUSED):
            refuse(f"use {event}")
        allowed: tuple[str, ...] = (folder,)
        if event == "open":
            if not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                allowed = to_read
            arguments = arguments[:1]
        elif event in READS:
            allowed = to_read
        elif not event.startswith("os.") or event == "os.putenv":
            return
        for path in arguments:
            if isinstance(path, str | bytes | os.PathLike):  # not something already open
                real = os.path.realpath(os.fsdecode(path))
                if not any(real == one or real.startswith(one + os.sep) for one in allowed):
                    refuse(f"use {event} on {path!r}")

    with contextlib.suppress(ImportError):
        import _posixsubprocess  # which tells no audit hook

        def fork_exec(*_: object) -> NoReturn:
            refuse("start another process")

        _posixsubprocess.fork_exec = fork_exec
    sys.addaudithook(hook)


if __name__ == "__main__":
    _child()
