"""Trainings in processes of their own: started, killed, or several at once. Used in chapter 09."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from utils.common import CourseError, free_port
from utils.paths import ROOT

SECONDS = 180  # after which a process that should long be done is given up
QUIET = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")


class ProcessError(CourseError):
    """A process that was started here did not end well; the sentence has its last words."""


def write_script(file: Path, imports: str, functions: list[Callable], last: str) -> Path:
    """A script: `imports`, the source of `functions`, and the line `last`; returns `file`.

    The last line runs only when the file is started, not when it is imported.
    """
    sources = [inspect.getsource(function).strip() for function in functions]
    end = f'if __name__ == "__main__":\n    {last}'
    file.write_text("\n\n\n".join(["import sys\n" + imports, *sources, end]) + "\n", "utf-8")
    return file


def _environment(**more: str) -> dict[str, str]:
    """This process's own, in which the course can be imported, and `more`."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | more


def run_python(*args: str | Path, **more: str) -> str:
    """What a fresh Python, computing on one core, prints; raises `ProcessError` when it fails.

    `more` is added to its environment.
    """
    done = subprocess.run(
        [sys.executable, *map(str, args)], env=_environment(OMP_NUM_THREADS="1", **more),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ProcessError(f"The process ended with {done.returncode}: {last}")
    return done.stdout


def accelerate_launch(script: Path, *args: str | Path, num_processes: int = 2) -> str:
    """Start `script` in several processes with `accelerate launch`; returns what they print.

    They compute on the processor, so graphics cards are hidden: the launcher would want one for
    each. Raises `ProcessError` when one of them fails.
    """
    options = ["--multi_gpu", "--num_processes", str(num_processes), *QUIET]
    module = ["-m", "accelerate.commands.launch", *options, "--main_process_port", str(free_port())]
    return run_python(*module, script, *args, CUDA_VISIBLE_DEVICES="")


def run_and_kill(script: Path, *args: str | Path, at: str) -> list[str]:
    """Start a script and kill it, without warning, as soon as it prints the line `at`.

    Returns the lines it printed, warnings among them. Raises `ProcessError` when it ended before.
    """
    command = [sys.executable, "-u", str(script), *map(str, args)]
    lines = []
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=_environment(), **how) as child:
        for line in child.stdout:
            lines.append(line.strip())
            if lines[-1] == at:
                child.kill()
                child.wait()
                return lines
    last = lines[-1] if lines else "nothing"
    raise ProcessError(
        f"The process ended with {child.returncode} before it said {at!r}; it last said: {last}"
    )
