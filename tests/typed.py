"""`course` as it is typed, in this process, which has imported PyTorch already."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from utils.cli import app


@dataclass
class Said:
    """What a command that has ended said; a terminal has one stream."""

    status: int
    out: str
    errors: str = ""


class Screen(io.TextIOWrapper):
    """A stream to print to: a terminal, or a pipe with Windows' old encoding."""

    def __init__(self, is_terminal: bool):
        encoding = "utf-8" if is_terminal else "cp1252"
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self.isatty = lambda: is_terminal

    def said(self):
        return self.buffer.getvalue().decode(self.encoding)


def course(*words: object, is_terminal: bool = False, typed: str = "") -> Said:
    """What comes of `course` with `words`; `typed` is what is typed while it runs."""
    out, errors, status = Screen(is_terminal), Screen(is_terminal), 0
    keys = patch.object(sys, "stdin", io.StringIO(typed))
    with redirect_stdout(out), redirect_stderr(errors), keys:
        try:
            app([str(word) for word in words])
        except SystemExit as ended:
            status = ended.code
            if isinstance(status, str):  # which Python prints at the end of a process
                print(status, file=errors)
                status = 1
    return Said(status, out.said(), errors.said())
