"""How every part of `course` prints JSON, and says what was wrong."""

import json
import sys

import typer


def print_json(value: object) -> None:
    """Print `value` for a program to read."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def fail(message: object) -> typer.Exit:
    """Say what was wrong on the error stream; raise what this returns."""
    print(message, file=sys.stderr)
    return typer.Exit(1)
