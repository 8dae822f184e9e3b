"""Runs a learner's code apart: another process, an empty folder, little time, little memory.

The folder is deleted afterwards, and an audit hook refuses to change files outside it, and the
network, other processes and foreign libraries. This is against mistakes, such as a loop that never
ends or `rmtree("~")`; it is no prison: what is run is what the learner typed on their own machine.

Memory is limited with RLIMIT_DATA (what the process may write to) and not with RLIMIT_AS (its
addresses): importing torch takes 3.2 GB of addresses and 0.75 GB of data before a line has run.
The libraries an answer imports are therefore loaded first, and the limits of time and memory begin
after them. Windows has no such limit of memory; the time limit holds everywhere.
"""

import ast
import contextlib
import faulthandler
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ANSWER = "<your answer>"
LIBRARIES = {"fastai", "matplotlib", "numpy", "pandas", "PIL", "torch", "torchvision"}
START = 60.0  # seconds a slow machine may take to import those
FILE_BYTES = 16 << 20  # the largest file an answer may write
TOO_LATE = re.compile(rb"^Timeout \(", re.MULTILINE)  # as faulthandler writes it


@dataclass(frozen=True)
class CodeResult:
    """What came of an answer: one bool a check, and a sentence when something went wrong."""

    passed: list[bool]
    error: str | None
    timed_out: bool = False


def run_code(
    source: str, checks: list[str], seconds: float = 10.0, megabytes: int = 512
) -> CodeResult:
    """Run `source`, then each of `checks` (an `assert`) in its namespace, in a process of its own.

    The value of a last expression is `_`, as in a notebook. `seconds` and `megabytes` are counted
    on top of starting Python and importing libraries. Raises `OSError` when no process can start.
    """
    with tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True) as folder:
        homes = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), folder)
        plain = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", "-X", "utf8", "-W", "ignore", __file__],
                input=json.dumps([source, checks, seconds, megabytes]).encode(),
                stdout=subprocess.PIPE,  # for reports: what the answer prints is thrown away
                stderr=subprocess.DEVNULL,
                cwd=os.path.realpath(folder),
                env=os.environ | homes | plain,
                timeout=START + seconds,
            )
        except subprocess.TimeoutExpired:
            late = f"Python and its libraries did not start within {START:g} seconds: try again"
            return CodeResult([False] * len(checks), late)
    reports = [json.loads(line) for line in done.stdout.split(b"\n") if line.startswith(b"[")]
    passed, error = reports[-1] if reports else ([], None)
    missing, code = len(checks) - len(passed), done.returncode
    timed_out = missing > 0 and bool(TOO_LATE.search(done.stdout))
    if timed_out:
        error = f"stopped after {seconds:g} seconds: is there a loop that never ends?"
    elif missing and not error:
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        error = f"your code ended Python before it was checked ({how})"
    return CodeResult(passed + [False] * missing, error or None, timed_out)


# -- in the child ----------------------------------------------------------------------------------


def _child() -> None:
    source, checks, seconds, megabytes = json.load(sys.stdin)
    reports = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    for name in re.findall(r"[\w.]+", "\n".join([source, *checks])):
        if name.split(".")[0] in LIBRARIES:
            with contextlib.suppress(Exception):  # the learner's own import says what is wrong
                importlib.import_module(name)
    # ends the process from a thread that needs no Python
    faulthandler.dump_traceback_later(seconds, exit=True, file=reports)
    _limit(megabytes)
    sys.addaudithook(_refuse_the_rest(str(Path.cwd())))
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    passed: list[bool] = []
    error = _problem(source, ANSWER, main.__dict__)
    reports.write(f"{json.dumps([passed, error])}\n".encode())
    for check in checks:
        problem = _problem(check, "<check>", main.__dict__)
        passed.append(problem is None)
        error = error or problem
        reports.write(f"{json.dumps([passed, error])}\n".encode())
    os._exit(0)  # not the learner's atexit functions and threads


REASONS = {
    MemoryError: "MemoryError: your code took more memory than an answer may",
    RecursionError: "RecursionError: a function calls itself without end",
    SystemExit: "SystemExit: your code ended Python before it was checked",
}


def _problem(code: str, file: str, names: dict) -> str | None:
    """None if all went well, "" for a check that is merely false, else a line to read."""
    try:
        tree = ast.parse(code, file)
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            tree.body[-1] = ast.Assign([ast.Name("_", ast.Store())], tree.body[-1].value)
        exec(compile(ast.fix_missing_locations(tree), file, "exec"), names)
    except AssertionError as error:
        return str(error)[:500]
    except BaseException as error:
        frames = traceback.walk_tb(error.__traceback__)
        lines = [line for frame, line in frames if frame.f_code.co_filename == ANSWER]
        line = lines[-1] if lines else getattr(error, "lineno", None)
        reason = REASONS.get(type(error)) or traceback.format_exception_only(error)[-1].strip()
        return f"{ANSWER}, line {line}: {reason}"[:500] if line else reason[:500]
    return None


def _limit(megabytes: int) -> None:
    """Limit memory, on top of what starting up took, and files; does nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    limits = {resource.RLIMIT_FSIZE: FILE_BYTES, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text().split()
        used = int(status[status.index("VmData:") + 1])  # kB
        limits[resource.RLIMIT_DATA] = used * 1024 + megabytes * 2**20
    for number, value in limits.items():
        with contextlib.suppress(ValueError):  # there is a lower limit already
            resource.setrlimit(number, (value, value))


REFUSED = (
    *("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system"),
    *("os.startfile", "os.kill", "ctypes.dlsym", "winreg.", "webbrowser.", "sqlite3.connect"),
)
CHANGES = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr", "shutil.rmtree"),
)


def _refuse_the_rest(folder: str) -> Callable[[str, tuple], None]:
    """An audit hook that refuses what an answer has no business with, on every system."""

    def refuse(what: str) -> NoReturn:
        raise PermissionError(f"an answer may not {what}: it runs apart, in an empty folder")

    def hook(event: str, arguments: tuple) -> None:
        # which would start a process where no hook hears of it
        if event == "import" and arguments[0].startswith("multiprocessing.popen"):
            refuse("start another process")
        if event.startswith(REFUSED):
            refuse(f"use {event}")
        if event == "open":
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            arguments = arguments[:1] if writes else ()
        elif event not in CHANGES:
            return
        for path in arguments:
            named = isinstance(path, str | bytes | os.PathLike)  # or it is open already
            if named and not Path(os.path.realpath(os.fsdecode(path))).is_relative_to(folder):
                refuse(f"use {event} on {path!r}")

    return hook


if __name__ == "__main__":
    _child()
