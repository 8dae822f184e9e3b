"""One call finds data: `dataset("pets")` is a folder, and `COURSE_DATA` says which one."""

import os
import re
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from gzip import BadGzipFile
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.error import ContentTooShortError
from urllib.parse import urlparse
from urllib.request import urlopen

import fastai.data
from fastai.data.external import URLs, fastai_cfg
from fastai.data.transforms import image_extensions
from fastcore.net import urlsave
from fastdownload import check, checks_module, read_checks
from fastprogress import progress_bar

from utils import digits
from utils.common import AS_UTF8, CourseError, made_whole, printable
from utils.images import SUFFIXES
from utils.paths import DATA, NOTEBOOKS, file_lock

# fastai's `get_image_files` reads this set, which it makes of the system's table of types: so that
# the same files are pictures on every machine, it is ours from here on.
image_extensions.clear()
image_extensions.update(SUFFIXES)

MB = 2**20
KEYWORDS = ("sample", "full")
TIMEOUT = 30  # seconds without a byte before a download is given up


class DataError(CourseError):
    """A set that is not there or cannot be used; the sentence says what to type."""


@dataclass(frozen=True)
class DataSet:
    """A set of the course. Its folder in `data/` and in a learner's own folder is its `name`."""

    name: str
    title: str
    url_attr: str  # which of fastai's `URLs` is the full public set; "": there is none
    layout: str  # where its files are; a picture may have any picture's suffix

    @property
    def url(self) -> str:
        """The archive's address: fastai's own, or the same file name at `COURSE_MIRROR`."""
        url = getattr(URLs, self.url_attr)
        mirror = os.environ.get("COURSE_MIRROR", "").strip().rstrip("/")
        if not mirror:
            return url
        if urlparse(mirror).scheme not in ("http", "https"):
            raise DataError(f"COURSE_MIRROR is {mirror!r}: set it to an http:// address.")
        return f"{mirror}/{PurePosixPath(url).name}"

    @property
    def archive_stem(self) -> str:
        """What fastai calls the folder of the public set; our name where there is none."""
        return PurePosixPath(getattr(URLs, self.url_attr)).stem if self.url_attr else self.name

    @property
    def bytes_full(self) -> int:
        """The size of the public archive, from the list fastai checks its downloads against."""
        return read_checks(checks_module(fastai.data))[getattr(URLs, self.url_attr)][0]

    def files(self, folder: Path) -> Iterable[Path]:
        """The set's files in `folder`: none when it has not the layout."""
        suffix = Path(self.layout).suffix
        allowed = SUFFIXES if suffix in SUFFIXES else {suffix}
        # "*/**/*": class folders may lie deeper, in train and valid, or in a folder around all
        layout = self.layout.replace("*/*", "*/**/*")
        found = folder.glob(str(Path(layout).with_suffix(".*")))
        return (file for file in found if file.suffix.lower() in allowed)


SETS = {
    entry.name: entry
    for entry in [
        DataSet("pets", "cats and dogs", "PETS", "images/*.jpg"),
        DataSet("bears", "bears of three kinds, as gathered", "", "*/*.jpg"),
        DataSet("bears_exam", "the same three, checked, to judge by", "", "*/*.jpg"),
        DataSet("bears_conditions", "bears in the dark, in snow, …", "", "*/**/*.jpg"),
        DataSet("mnist_sample", "handwritten threes and sevens", "MNIST_SAMPLE", "train/*/*.png"),
        DataSet("mnist", "handwritten digits, all ten", "MNIST", "training/*/*.png"),
        DataSet("camvid", "scenes with masks", "CAMVID_TINY", "images/*.png"),
        DataSet("noses", "bears, and where their noses are", "", "images/*.jpg"),
        DataSet("planet", "pictures with several labels", "PLANET_TINY", "labels.csv"),
        DataSet("penguins", "penguins, measured", "", "penguins.csv"),
        DataSet("adult", "incomes from a census", "ADULT_SAMPLE", "adult.csv"),
        DataSet("ml", "ratings of films", "ML_SAMPLE", "ratings.csv"),
        DataSet("imdb", "reviews of films", "IMDB_SAMPLE", "texts.csv"),
    ]
}


# --- which folder ---------------------------------------------------------------------------


def _entry(name: str) -> DataSet:
    if name in SETS:
        return SETS[name]
    close = get_close_matches(name, SETS, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise DataError(f"There is no set called {name!r}{hint}; there are: {', '.join(SETS)}.")


def _source(source: str | None = None) -> str:
    source = (source or os.environ.get("COURSE_DATA") or "sample").strip()
    return source.lower() if source.lower() in KEYWORDS else source


def resolve_source(source: str | None = None) -> str:
    """`sample`, `full`, or the absolute path of a folder; without `source`, from `COURSE_DATA`.

    Raises `DataError` when it is none of the three.
    """
    source = _source(source)
    if source in KEYWORDS:
        return source
    folder = Path(source).expanduser().resolve()
    for place in (folder, NOTEBOOKS / source):  # `photos` from wherever a command is typed
        if place.is_dir():
            return str(place)
    raise DataError(
        f"COURSE_DATA is {source!r}, and there is no folder {folder}: "
        "set it to sample, to full, or to a folder of your own that exists."
    )


def source_label() -> str:
    """`sample`, `full`, or the name of your folder: short, without this machine's paths."""
    source = _source()
    if source in KEYWORDS:
        return source
    name = Path(source).expanduser().resolve().name
    return f"{name} (your folder)" if name in KEYWORDS else name


def is_the_courses() -> bool:
    """Whether `COURSE_DATA` is not a folder of your own."""
    return _source() in KEYWORDS


def _is_filled(entry: DataSet, folder: Path) -> bool:
    return any(file.is_file() and file.stat().st_size for file in entry.files(folder))


def _own(entry: DataSet, folder: Path) -> Path:
    """The set in a learner's folder, under our name, under the public archive's, or bare.

    Class folders are not taken bare: those of any other set would pass for them. One or two
    folders around it are looked through, and that is said.
    """
    places = [folder / entry.name, folder / entry.archive_stem]
    for place in places:
        around = [f for depth in ("[!._]*", "[!._]*/[!._]*") for f in sorted(place.glob(depth))]
        for inside in (place, *filter(Path.is_dir, around)):
            if _is_filled(entry, inside):
                if inside != place:
                    print(f"Found {entry.name} inside {inside.relative_to(place)}.")
                return _readable(inside)
    if entry.url_attr and _is_filled(entry, folder):
        return _readable(folder)
    if entry.layout.startswith("images/") and any(places[0].glob("**/[Tt]rain")):
        raise DataError(
            f"{places[0]} has a folder train, but the chapters divide {entry.name} themselves: put "
            "all its pictures into images."
        )
    state = "empty" if places[0].is_dir() else "not there"
    raise DataError(
        f"Looked for {entry.name} in {places[0]} as {entry.layout}, and it is {state}: "
        "put your files there, or set COURSE_DATA=sample."
    )


def _readable(folder: Path) -> Path:
    """`folder`; raises `CourseError` if pandas could not read a table there for its encoding."""
    for table in folder.glob("*.csv"):
        try:
            table.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise CourseError(f"{table} is not in UTF-8: {AS_UTF8}.") from error
    return folder


def _sample(entry: DataSet) -> Path:
    if entry.name in digits.LAYOUTS:
        return digits.lay_out(entry.name)
    folder = DATA / entry.name
    if _is_filled(entry, folder):
        return folder
    advice = f"type `git checkout -- data/{entry.name}` in the course's folder."
    if entry.url_attr and not folder.exists():
        advice = f"set COURSE_DATA=full to download it ({entry.bytes_full / MB:.1f} MB)."
    raise DataError(
        f"This copy of the course has no sample of {entry.name} (looked in {folder} for "
        f"{entry.layout}): {advice}"
    )


def dataset(name: str, source: str | None = None) -> Path:
    """The folder of a set: the sample, the full public set, or your own.

    `source` is `sample`, `full` or a folder; without it `COURSE_DATA` decides, else `sample`.
    Raises `DataError`, whose sentence says what was looked for, where, and what to type.
    """
    entry, source = _entry(name), resolve_source(source)
    if source == "full" and not entry.url_attr:
        print(f"There is no public archive of {name}; the course's own set is used.")
        source = "sample"
    if source == "sample":
        return _sample(entry)
    return fetch(name) if source == "full" else _own(entry, Path(source))


def dataset_or_sample(name: str, sample: str | None = None) -> Path:
    """`dataset(name)`; where a folder of your own has not this set, the sample, and a sentence.

    `sample` is the set that stands in, where it has another name.
    """
    try:
        return dataset(name)
    except DataError:
        if is_the_courses():
            raise
    sample = sample or name
    print(f"Your folder has no {name}; the course's own {sample} is used.")
    return dataset(sample, "sample")


def inventory() -> list[dict[str, object]]:
    """What is here of each set, and what `full` would fetch; asks nothing of the network."""
    rows: list[dict[str, object]] = []
    for entry in SETS.values():
        sizes = [file.stat().st_size for file in (DATA / entry.name).rglob("*") if file.is_file()]
        if entry.name in digits.LAYOUTS:
            sizes = [digits.SIZE] * digits.count(entry.name)
        full_here = False
        with suppress(OSError):  # a home in which fastai cannot even keep its settings
            # where fastai unpacks the public archive: an earlier download is found there
            full_here = _is_filled(entry, fastai_cfg().path("data") / entry.archive_stem)
        rows.append(
            {
                "name": entry.name,
                "title": entry.title,
                "sample_files": len(sizes),
                "sample_mb": round(sum(sizes) / MB, 1),
                "full_here": full_here,
                "full_mb": round(entry.bytes_full / MB, 1) if entry.url_attr else None,
            }
        )
    return rows


# --- the full public set --------------------------------------------------------------------


# What reading an archive that is cut short, broken or no archive at all raises.
DAMAGED = (tarfile.TarError, EOFError, zlib.error, BadGzipFile)


def _download(url: str, archive: Path) -> None:
    """Fetch an archive, with a progress bar; it must be the one fastai knows, if it knows one."""
    bar = progress_bar([], leave=False)

    def show(count: int, block: int, total: int) -> None:
        if count == 0:
            size = f"{total / MB:.1f} MB" if total > 0 else "of unknown size"
            print(f"Downloading {archive.name}, {size}, once, from {urlparse(url).netloc}.")
        bar.total = total if total > 0 else None  # the server may not say
        bar.update(min(count * block, bar.total or count * block))

    with made_whole(archive) as part:
        try:
            urlsave(url, part, show, timeout=TIMEOUT)
        except (ContentTooShortError, NameError) as error:  # fastcore.net forgot to import the name
            raise EOFError from error
        if not check(checks_module(fastai.data), url, part):
            raise tarfile.ReadError("not the file that fastai knows")


def _plain(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """tarfile's own filter, and no links: Pythons up to 3.11.12 follow chains of them outside."""
    if not (member.isfile() or member.isdir()):
        raise tarfile.SpecialFileError(member)
    return tarfile.data_filter(member, folder)


def _unpack(archive: Path, folder: Path) -> None:
    """Put what is in the archive's one folder into `folder`, which is there whole or not at all."""
    unpacked = folder.with_name(f".{folder.name}")
    with made_whole(unpacked) as part, tarfile.open(archive) as tar:
        tar.extractall(part, filter=_plain)
        while tar.fileobj.read(MB):  # to the end, where the checksum is
            pass
    roots = list(unpacked.iterdir())
    (roots[0] if len(roots) == 1 and roots[0].is_dir() else unpacked).rename(folder)
    shutil.rmtree(unpacked, ignore_errors=True)


@contextmanager
def _in_words(name: str, again: str) -> Iterator[None]:
    """What can go wrong with a download, as a `DataError` that says what to type."""
    otherwise = (
        f"get {_entry(name).url} on another machine, unpack it, and set COURSE_DATA to the folder "
        "it is in, or set COURSE_DATA=sample to go on without."
    )
    try:
        yield
    except DAMAGED as error:
        why = "it is cut short or damaged, or a web page (a network's log-in?) came in its place"
        if isinstance(error, tarfile.FilterError):
            why = f"its member {printable(error.tarinfo.name)} could reach outside its folder"
        raise DataError(
            f"The archive of {name} was thrown away because {why}: "
            f"type `{again}` to try again, or {otherwise}"
        ) from error
    except (OSError, HTTPException) as error:
        code = getattr(error, "code", None)  # an HTTPError's own text holds the page it came with
        reason = f"the server answered {code}" if code else getattr(error, "reason", error)
        raise DataError(f"Could not download {name} ({reason}): {otherwise}") from error


def fetch(name: str) -> Path:
    """The full public set, downloaded once to where `untar_data` would have it.

    fastai's own would unpack outside its folder if an archive said so, leave half a set when it
    is killed, and keep an archive that it cannot unpack. Raises `DataError` without a network and
    for an archive that cannot be used; the next call starts afresh.
    """
    entry = _entry(name)
    if not entry.url_attr:
        raise DataError(f"There is no public archive of {name}: set COURSE_DATA=sample.")
    url = entry.url
    with _in_words(name, f"course data fetch {name}"):
        archive = fastai_cfg().path("archive") / PurePosixPath(url).name
        folder = fastai_cfg().path("data") / entry.archive_stem
        archive.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(f"{archive}.lock"):  # as fastai does
            if not folder.exists():
                if not (archive.exists() and check(checks_module(fastai.data), url, archive)):
                    _download(url, archive)
                try:
                    _unpack(archive, folder)
                except DAMAGED:
                    archive.unlink()
                    raise
    if not _is_filled(entry, folder):
        raise DataError(
            f"Looked for {name} in {folder} as {entry.layout}, and it is not there: "
            f"move that folder away and type `course data fetch {name}`."
        )
    return folder


def fetch_photos(count: int, folder: Path = NOTEBOOKS / "photos") -> Path:
    """So many photos of the public pets, half of them cats, in `folder/pets/images`.

    The archive is unpacked while it comes, and read no further than needed; of a breed at most a
    twentieth of `count` is taken, since the archive may have one breed after the other. There are
    fewer where it has not so many. Raises `DataError` for what `fetch` raises it for, and where
    there are photos already; nothing is left then.
    """
    target, again = folder / "pets", f"course data fetch pets --photos {count}"
    if target.exists():
        raise DataError(f"{target} is there already: move it away, then type `{again}`.")
    taken: Counter[str] = Counter()
    with _in_words("pets", again), made_whole(target) as part:
        (part / "images").mkdir(parents=True)
        request = urlopen(_entry("pets").url, timeout=TIMEOUT)
        bar = progress_bar(range(count), leave=False)
        bar.update(0)
        with request as answer, tarfile.open(fileobj=answer, mode="r|gz") as tar:
            for member in tar:
                name = re.fullmatch(r"(?:.*/)?images/(([A-Za-z_]+)_\d+\.jpg)", member.name)
                if not (name and member.isfile() and member.size < 20 * MB):
                    continue
                breed, kind = f"{name[2]}_", "cats" if name[2][0].isupper() else "dogs"
                if taken[kind] < count / 2 and taken[breed] < count / 20:
                    taken.update((breed, kind))
                    with (part / "images" / name[1]).open("wb") as file:
                        shutil.copyfileobj(cast(IO[bytes], tar.extractfile(member)), file)
                    bar.update(taken["cats"] + taken["dogs"])
                    bar.comment = f"{member.offset / MB:.0f} MB"
                if taken["cats"] + taken["dogs"] >= count:
                    break
        if min(taken["cats"], taken["dogs"]) < 10:
            raise EOFError
    return target / "images"
