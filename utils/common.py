"""What every part of the course rests on: errors a learner can read, and text files read whole."""

import codecs
import re
import socket

AS_UTF8 = "save it again as UTF-8 (Excel calls that CSV UTF-8; editors have it under Save As)"
SPLIT = re.compile(r"(train|val|test)(ing|id|idation)?([ _-]?set)?", re.IGNORECASE)


class CourseError(Exception):
    """An error whose one sentence is all a learner needs: notebooks show it without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for this before it makes its own
        return [f"{type(self).__name__}: {self}"]


def split_of(folder: str) -> str:
    """What a folder called `Train`, `val` or `test_set` is meant as; "" for any other name."""
    found = SPLIT.fullmatch(folder)
    return {"val": "valid"}.get(found[1].lower(), found[1].lower()) if found else ""


def text_of(content: bytes, name: str) -> str:
    """The bytes of a text file as text: UTF-8, or UTF-16 where they begin with its mark.

    Raises `CourseError` for any other encoding; `name` is what the file is called.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise CourseError(
            f"{name} is not in UTF-8 (older Windows programs write cp1252): {AS_UTF8}."
        ) from error


def free_port() -> int:
    """A port of this computer's own address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
