"""What the scripts that draw sets share: how pictures are numbered, files written, options read."""

from __future__ import annotations

import argparse
import csv
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from draw.photograph import contact_sheet

HERE = Path(__file__).parents[1]


def picture_key(words: str) -> int:
    """Return a number that names a picture, the same on every machine."""
    return zlib.crc32(words.encode())


def save(path: Path, data: bytes) -> Path:
    """Write a file, with the folders it needs; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_table(path: Path, header: tuple[str, ...], rows: Iterable[tuple]) -> Path:
    """Write a CSV file, the same bytes on every system, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def run(
    description: str,
    draw_sets: Callable[[Path, int], list[Path]],
    on_sheet: Callable[[Path], bool],
    argv: list[str] | None = None,
) -> None:
    """Draw what the command line asks for; `on_sheet` says which files a contact sheet shows."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE, help="where (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other sets")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="also a contact sheet")
    args = parser.parse_args(argv)
    start = time.perf_counter()
    paths = draw_sets(args.out, args.seed)
    size = sum(path.stat().st_size for path in paths)
    seconds = time.perf_counter() - start
    print(f"{len(paths)} files, {size / 1e6:.2f} MB, {seconds:.0f} s, in {args.out}")
    if args.sheet:
        contact_sheet([path for path in paths if on_sheet(path)], args.sheet)
