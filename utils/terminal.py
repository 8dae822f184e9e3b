"""How every part of `course` prints, and says what was wrong."""

import json
import os
import shlex
import subprocess
import sys

import typer

from utils.common import CourseError


class Commands(typer.Typer):
    """Says what was wrong in a sentence; prints to terminals and pipes of any encoding."""

    def __call__(self, *words: object, **options: object) -> object:
        """Run the command that was typed; exits with 1 when something was wrong."""
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="replace")  # where cp1252 has no →, say
        try:
            return super().__call__(*words, **options)
        except CourseError as error:
            sys.exit(str(error))
        except OSError as error:
            if error.filename is None:
                raise
            sys.exit(f"{error.filename} cannot be read or written ({error.strerror}).")


def print_json(value: object) -> None:
    """Print `value` for a program to read."""
    print(json.dumps(value, indent=1))


def quoted(word: object) -> str:
    """`word` as it is typed in a command, with quotes where it needs them."""
    return subprocess.list2cmdline([str(word)]) if os.name == "nt" else shlex.quote(str(word))


def fail(message: object) -> typer.Exit:
    """Say what was wrong on the error stream; raise what this returns."""
    print(message, file=sys.stderr)
    return typer.Exit(1)
