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
import subprocess
import sys
import tempfile
import traceback
import types
from functools import partial
from pathlib import Path
from typing import NamedTuple

ANSWER = "<your answer>"
LIBRARIES = {"fastai", "matplotlib", "numpy", "pandas", "PIL", "torch", "torchvision"}
START = 60  # seconds for Python and the libraries to start in
FILE_BYTES = 16 << 20  # the largest file an answer may write


class CodeResult(NamedTuple):
    """What came of an answer: one bool a check, and a sentence when something went wrong."""

    passed: list[bool]
    error: str | None


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
            said = subprocess.run(
                [sys.executable, "-I", "-B", "-X", "utf8", "-W", "ignore", __file__],
                input=json.dumps([source, checks, seconds, megabytes]).encode(),
                stdout=subprocess.PIPE,  # for reports: what the answer prints is thrown away
                stderr=subprocess.DEVNULL,
                cwd=os.path.realpath(folder),
                env=os.environ | homes | plain,
                timeout=START + seconds,  # whatever the answer does to its own clock
            ).stdout.splitlines()
        except subprocess.TimeoutExpired:
            late = f"Your code did not start or did not end within {START + seconds:g} seconds."
            return CodeResult([False] * len(checks), late)
    reports = [json.loads(line) for line in said if line.startswith(b"[")]
    passed, error = reports[-1] if reports else ([], None)
    missing = len(checks) - len(passed)
    if missing and any(line.startswith(b"Timeout (") for line in said):  # says faulthandler
        error = f"Your code did not end within {seconds:g} seconds: a loop that never ends?"
    elif missing and not error:
        error = "Your code ended Python before it was checked."
    return CodeResult(passed + [False] * missing, error or None)


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
    sys.addaudithook(partial(_refuse, str(Path.cwd())))
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    problems: list[str | None] = []
    for code in [source, *checks]:
        problems.append(_problem(code, "<check>" if problems else ANSWER, main.__dict__))
        error = next(filter(None, problems), None)
        reports.write(f"{json.dumps([[p is None for p in problems[1:]], error])}\n".encode())
    os._exit(0)  # not the learner's atexit functions and threads


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
        reason = traceback.format_exception_only(error)[-1].strip()
        if isinstance(error, MemoryError):
            reason = "MemoryError: your code took more memory than an answer may"
        return f"{ANSWER}, line {line}: {reason}"[:500] if line else reason[:500]
    return None


def _limit(megabytes: int) -> None:
    """Limit memory, on top of what starting up took, and files, where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with contextlib.suppress(OSError, ValueError):  # where a lower one is set already
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        status = Path("/proc/self/status").read_text().split()
        used = int(status[status.index("VmData:") + 1])  # kB
        limit = used * 1024 + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


REFUSED = (
    *("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system"),
    *("os.startfile", "os.kill", "ctypes.dlsym", "winreg.", "webbrowser.", "sqlite3.connect"),
)
CHANGES = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr", "shutil.rmtree"),
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _refuse(folder: str, event: str, arguments: tuple) -> None:
    """As an audit hook, refuse what an answer has no business with, on every system."""
    paths = arguments if event in CHANGES else ()
    if event == "open" and arguments[2] & WRITES:
        paths = arguments[:1]
    outside = any(
        not Path(os.path.realpath(os.fsdecode(path))).is_relative_to(folder)
        for path in paths
        if isinstance(path, str | bytes | os.PathLike)  # or it is open already
    )
    # which would start a process where no hook hears of it
    apart = event == "import" and arguments[0].startswith("multiprocessing.popen")
    if outside or apart or event.startswith(REFUSED):
        raise PermissionError(
            f"an answer may not do this ({event}): it runs apart, in an empty folder"
        )


if __name__ == "__main__":
    _child()
