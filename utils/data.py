"""One call finds data: `dataset("pets")` is a folder, and `COURSE_DATA` says which one."""

import codecs
import hashlib
import json
import os
import shutil
import tarfile
import warnings
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from gzip import BadGzipFile
from http.client import HTTPException
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.error import ContentTooShortError, HTTPError
from urllib.parse import urlparse
from urllib.request import Request

import fastai.data
import fastdownload.core
from fastai.data.external import URLs, fastai_cfg, untar_data
from fastai.data.transforms import get_files, get_image_files, image_extensions
from fastai.vision.utils import resize_to
from fastcore.net import urldest, urlopen, urlsave
from fastdownload import FastDownload, checks_module, read_checks
from fastprogress import progress_bar
from PIL import Image

from utils import digits
from utils.common import AS_UTF8, CourseError, text_of
from utils.images import (
    SUFFIXES,
    ImageError,
    ImageProblem,
    ImageReport,
    check_images,
    decode,
    opened,
)
from utils.paths import DATA, course_cache, file_lock

# fastai's `get_image_files` reads this set, which it makes of the system's table of types: so that
# the same files are pictures on every machine, it is ours from here on.
image_extensions.clear()
image_extensions.update(SUFFIXES)

MB = 2**20
KEYWORDS = ("sample", "full")
TIMEOUT = 30  # seconds without a byte before a download is given up
MIN_RATIO = 1.3  # pictures up to so many times the wanted size are not worth a copy


class DataError(CourseError):
    """A set that is not there or cannot be used; the sentence says what to type."""


@dataclass(frozen=True)
class DataSet:
    """A set of the course. Its folder in `data/` and in a learner's own folder is its `name`."""

    name: str
    title: str
    url_attr: str | None  # which of fastai's `URLs` is the full public set; None: there is none
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
        DataSet("bears", "bears of three kinds, as gathered", None, "*/*.jpg"),
        DataSet("bears_exam", "the same three, checked, to judge by", None, "*/*.jpg"),
        DataSet("bears_conditions", "bears in the dark, in snow, …", None, "*/**/*.jpg"),
        DataSet("mnist_sample", "handwritten threes and sevens", "MNIST_SAMPLE", "train/*/*.png"),
        DataSet("mnist", "handwritten digits, all ten", "MNIST", "training/*/*.png"),
        DataSet("camvid", "scenes with masks", "CAMVID_TINY", "images/*.png"),
        DataSet("noses", "bears, and where their noses are", None, "images/*.jpg"),
        DataSet("planet", "pictures with several labels", "PLANET_TINY", "labels.csv"),
        DataSet("penguins", "penguins, measured", None, "penguins.csv"),
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
    if folder.is_dir():
        return str(folder)
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


def _is_filled(entry: DataSet, folder: Path) -> bool:
    return any(file.is_file() and file.stat().st_size for file in entry.files(folder))


def _archive_stem(entry: DataSet) -> str:
    return PurePosixPath(getattr(URLs, entry.url_attr)).stem if entry.url_attr else entry.name


def _full_folder(entry: DataSet) -> Path:
    """Where fastai unpacks the public archive: an earlier download is found there."""
    return fastai_cfg().path("data") / _archive_stem(entry)


def _within(folder: Path, entry: DataSet) -> Iterable[Path]:
    """`folder`, and while there is one folder in it and no other set's, that one: up to two."""
    for _ in range(3):
        yield folder
        below = [f for f in folder.glob("[!._]*") if f.is_dir()]
        others = {name for other in SETS.values() for name in (other.name, _archive_stem(other))}
        if len(below) != 1 or below[0].name in others - {entry.name, _archive_stem(entry)}:
            return
        folder = below[0]


def _own(entry: DataSet, folder: Path) -> Path:
    """The set in a learner's folder, under our name, under the public archive's, or bare.

    Class folders are not taken bare: those of any other set would pass for them. One or two
    folders around it are looked through, and that is said.
    """
    places = [folder / entry.name, folder / _archive_stem(entry)]
    places += [folder] if entry.url_attr else []
    for place in places:
        for inside in _within(place, entry):
            if _is_filled(entry, inside):
                if inside != place:
                    print(f"Found {entry.name} inside {inside.relative_to(place)}.")
                _check_tables(inside)
                return inside
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


def _check_tables(folder: Path) -> None:
    """Raise `CourseError` for a table that pandas could not read because of its encoding."""
    for table in folder.glob("*.csv"):
        with table.open("rb") as file:
            wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        if wide:
            raise CourseError(f"{table} is in UTF-16: {AS_UTF8}.")
        text_of(table.read_bytes(), str(table))


def _made(entry: DataSet) -> Path:
    """The sample of a set that comes in a package rather than in `data/`."""
    try:
        return digits.lay_out(entry.name)
    except ImportError as error:
        raise DataError(
            f"The sample of {entry.name} is made from the package {digits.PACKAGE}, which is not "
            f"installed here: type `pip install {digits.PACKAGE}`."
        ) from error


def _sample(entry: DataSet) -> Path:
    if entry.name in digits.LAYOUTS:
        return _made(entry)
    folder = DATA / entry.name
    if _is_filled(entry, folder):
        return folder
    if folder.exists():
        raise DataError(
            f"The sample of {entry.name} should be in {folder} as {entry.layout}, and is not: "
            f"type `git checkout -- data/{entry.name}` in the course's folder."
        )
    advice = f"type `git checkout -- data/{entry.name}` in the course's folder."
    if entry.url_attr:
        advice = f"set COURSE_DATA=full to download it ({entry.bytes_full / MB:.1f} MB)."
    raise DataError(
        f"This copy of the course has no sample of {entry.name} (looked in {folder}): {advice}"
    )


def dataset(name: str, source: str | None = None) -> Path:
    """The folder of a set: the sample, the full public set, or your own (DESIGN's first contract).

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


def _is_full_here(entry: DataSet) -> bool:
    try:
        return _is_filled(entry, _full_folder(entry))
    except OSError:  # a home in which fastai cannot even keep its settings
        return False


def where(name: str) -> dict[str, object]:
    """What is here of a set, and what `full` would fetch; asks nothing of the network."""
    entry = _entry(name)
    sample = [f.stat().st_size for f in (DATA / name).rglob("*") if f.is_file()]
    count, size = len(sample), sum(sample)
    if name in digits.LAYOUTS:
        count, size = digits.count(name), digits.size(name)
    return {
        "name": name,
        "title": entry.title,
        "sample_files": count,
        "sample_mb": round(size / MB, 1),
        "full_here": _is_full_here(entry),
        "full_mb": round(entry.bytes_full / MB, 1) if entry.url_attr else None,
        "full_url": entry.url if entry.url_attr else None,
    }


def inventory() -> list[dict[str, object]]:
    """`where` for every set."""
    return [where(name) for name in SETS]


# --- the full public set --------------------------------------------------------------------


fastdownload.core._locked = file_lock  # fastdownload's own stops on a disk without locks


class _Damaged(Exception):
    """An archive that is cut short, broken, or wants to write outside its folder."""


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Only plain files and folders below `folder`. tarfile's own filter would let links in."""
    path = PurePosixPath(member.name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        raise _Damaged(f"its member {member.name!r} could reach outside its folder")
    return tarfile.data_filter(member, folder)


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter=_inside)
            while tar.fileobj.read(MB):  # to the end, where the checksum is
                pass
    except (tarfile.TarError, EOFError, zlib.error, BadGzipFile) as error:
        raise _Damaged("it is cut short or damaged") from error


class _Download(FastDownload):
    """fastai's downloader with what it lacks: a size first, a time limit, a careful unpacking.

    fastdownload 0.0.8 unpacks whatever an archive says, copies the result into place file by
    file (a kill leaves half a set that passes for whole), and keeps an archive it cannot unpack.
    """

    def download(self, url: str, force: bool = False) -> Path:
        """Fetch the archive unless it is here and passes fastai's check of size and hash."""
        self.arch_path().mkdir(parents=True, exist_ok=True)
        archive = urldest(url, self.arch_path())
        if archive.exists() and self.check(url, archive) and not force:
            return archive
        size = f"{self._size(url) / MB:.1f} MB" if self._size(url) else "of unknown size"
        print(f"Downloading {archive.name}, {size}, once, from {urlparse(url).netloc}.")
        arriving, bar = archive.with_name(f"{archive.name}.part"), progress_bar([], leave=False)

        def show(count: int, block: int, total: int) -> None:
            bar.total = total if total > 0 else None  # the server may not say
            bar.update(min(count * block, bar.total or count * block))

        try:
            urlsave(url, arriving, show, timeout=TIMEOUT)
        except (ContentTooShortError, NameError) as error:  # fastcore.net forgot to import the name
            raise _Damaged("the download was cut short") from error
        arriving.replace(archive)
        with archive.open("rb") as file:
            if b"<html" in file.read(1024).lower():
                archive.unlink()
                raise _Damaged("it is a web page, such as a network's log-in page")
        if not self.check(url, archive):
            archive.unlink()
            raise _Damaged("it is not the file fastai knows")
        return archive

    def _size(self, url: str) -> int:
        """From fastai's list, or the server's word for an address that is not on it; 0: unknown."""
        if url in (known := read_checks(self.module)):
            return known[url][0]
        try:
            with urlopen(Request(url, method="HEAD"), timeout=TIMEOUT) as answer:
                return int(answer.headers.get("Content-Length", 0))
        except HTTPError:
            return 0

    def extract(self, url: str, extract_key: str = "data", force: bool = False) -> Path:
        """Unpack beside the final place, then rename: the folder appears whole or not at all."""
        archive = urldest(url, self.arch_path())
        target = self.data_path(extract_key, archive)
        scratch = target.with_name(f".{target.name}.unpacking")
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
        scratch.mkdir(parents=True)
        try:
            _unpack(archive, scratch)
            roots = list(scratch.iterdir())
            (roots[0] if len(roots) == 1 and roots[0].is_dir() else scratch).rename(target)
        except _Damaged:
            archive.unlink()
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target


def _get(entry: DataSet) -> None:
    """Download and unpack under fastai's lock; a damaged archive of earlier is fetched again."""
    downloader = _Download(fastai_cfg(), module=fastai.data, base="~/.fastai")
    earlier = urldest(entry.url, downloader.arch_path()).exists()
    try:
        downloader.get(entry.url)
    except _Damaged as error:
        if not earlier:
            raise
        print(f"The archive of an earlier download cannot be used ({error}).")
        downloader.get(entry.url)


def fetch(name: str) -> Path:
    """The full public set, downloaded once into fastai's own folder, as `untar_data` would.

    Raises `DataError` without a network, for a damaged archive, and for one that would write
    outside its folder; the next call starts afresh.
    """
    entry = _entry(name)
    if not entry.url_attr:
        raise DataError(f"There is no public archive of {name}: set COURSE_DATA=sample.")
    otherwise = (
        f"get {entry.url} on another machine, unpack it, and set COURSE_DATA to the folder it "
        "is in, or set COURSE_DATA=sample to go on without."
    )
    try:
        _get(entry)
    except _Damaged as error:
        raise DataError(
            f"The archive of {name} was thrown away because {error}: "
            f"type `course data fetch {name}` to try again, or {otherwise}"
        ) from error
    except (OSError, HTTPException) as error:
        code = getattr(error, "code", None)  # an HTTPError's own text holds the page it came with
        reason = f"the server answered {code}" if code else getattr(error, "reason", error)
        raise DataError(f"Could not download {name} ({reason}): {otherwise}") from error
    folder = untar_data(entry.url)  # all in place by now, so this only says where
    if not _is_filled(entry, folder):
        raise DataError(
            f"Looked for {name} in {folder} as {entry.layout}, and it is not there: "
            f"move that folder away and type `course data fetch {name}`."
        )
    return folder


# --- presized copies ------------------------------------------------------------------------


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:  # a link to nowhere, say; opening it will tell
        return [0, 0]
    return [status.st_size, status.st_mtime_ns]


def _are_large(files: list[Path], size: int) -> bool:
    """Whether any of up to 400 of the pictures, by its header, is worth a smaller copy."""
    for file in islice(files, 0, None, len(files) // 400 + 1):
        try:
            with opened(file) as image:
                if min(image.size) > size * MIN_RATIO:
                    return True
        except ImageError:
            continue
    return False


def _copy_one(source: Path, target: Path, scratch: Path, size: int) -> ImageError | None:
    """One smaller copy, or what is wrong with the picture; other files are copied as they are.

    Not fastai's `resize_image`: it measures the longer side, shrinks a palette's numbers as if
    they were colours, forgets which way up the camera was held, and writes in place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix.lower() in SUFFIXES:
        try:
            with opened(source) as picture:
                image = decode(picture, at_least=2 * size)
        except ImageError as error:
            return error
        if min(image.size) > size:
            image = image.resize(resize_to(image, size, use_min=True), Image.Resampling.LANCZOS)
        kind = Image.registered_extensions().get(target.suffix.lower(), "PNG")
        image.save(scratch, kind, quality=92)
    else:
        shutil.copyfile(source, scratch)
    scratch.replace(target)  # beside the final place until now: a kill leaves no half picture
    return None


class _Copy:
    """A smaller copy of a set, and the list of what was done to which original.

    The list has, for each original, its size, its time, and the kind and sentence of what is
    wrong with it. It is written after the copies it speaks of, so a killed run redoes at most
    the last few.
    """

    def __init__(self, source: Path, folder: Path, size: int) -> None:
        self.source, self.folder, self.size = source, folder, size
        self.scratch, self.list = folder.with_name(folder.name + ".part"), Path(f"{folder}.json")
        try:
            self.done = json.loads(self.list.read_text("utf-8"))
        except (OSError, ValueError):  # none yet, or lost in a power cut: all is made again
            self.done = {}

    def _write_list(self) -> None:
        new = self.scratch / "list"
        new.write_text(json.dumps(self.done), encoding="utf-8")
        new.replace(self.list)

    def _is_fresh(self, name: str, stamp: list[int]) -> bool:
        *known, kind, _ = self.done.get(name, [None, None])
        copy = self.folder / name
        # A copy without bytes is what a power cut can leave.
        return known == stamp and (kind is not None or (copy.exists() and copy.stat().st_size > 0))

    def _make(self, job: tuple[int, str, list[int]]) -> tuple[str, list]:
        number, name, stamp = job
        scratch = self.scratch / str(number)
        error = _copy_one(self.source / name, self.folder / name, scratch, self.size)
        return name, [*stamp, *((error.kind, str(error)) if error else (None, None))]

    def _make_all(self, jobs: list[tuple[int, str, list[int]]]) -> None:
        # Threads: Pillow lets go of Python's lock while it decodes, resizes and encodes.
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            made = pool.map(self._make, jobs)
            for number, (name, entry) in enumerate(progress_bar(made, len(jobs), leave=False)):
                self.done[name] = entry
                if number % 256 == 255:
                    self._write_list()
        finally:  # also when the learner interrupts: what is done stays done
            pool.shutdown(cancel_futures=True)
            self._write_list()

    def update(self, files: list[Path]) -> ImageReport:
        """Make what is new or changed, remove what has no original any more, tell what is wrong."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self.folder.mkdir(exist_ok=True)
        stamps = {file.relative_to(self.source).as_posix(): _stamp(file) for file in files}
        fresh = {name for name, stamp in stamps.items() if self._is_fresh(name, stamp)}
        self.done = {name: self.done[name] for name in fresh}
        jobs = [(n, name, stamps[name]) for n, name in enumerate(stamps) if name not in fresh]
        if jobs:
            print(f"Making smaller copies ({self.size} pixels) of {len(jobs)} pictures, once.")
            self._make_all(jobs)
        self._remove_strays()
        shutil.rmtree(self.scratch)
        return self._report()

    def _remove_strays(self) -> None:
        for file in get_files(self.folder):
            entry = self.done.get(file.relative_to(self.folder).as_posix())
            if entry is None or entry[2] is not None:
                file.unlink()
        self._write_list()

    def _report(self) -> ImageReport:
        paths = [Path(name) for name in sorted(self.done)]
        files = [self.source / p for p in paths if p.suffix.lower() in SUFFIXES]
        entries = sorted(self.done.items())
        wrong = [ImageProblem(self.source / name, *e[2:]) for name, e in entries if e[2]]
        return ImageReport(files, wrong, self.source)


def _are_known_good(files: list[Path], memory: Path) -> bool:
    """Whether every picture can be used; that they can is remembered until one changes."""
    state = hashlib.sha256(repr([(str(f), _stamp(f)) for f in files]).encode()).hexdigest()
    if memory.exists() and memory.read_text() == state:
        return True
    if good := len(check_images(files).usable) == len(files):
        memory.write_text(state)
    return good


def presized(path: Path | str, size: int = 224, folders: tuple[str, ...] | None = None) -> Path:
    """The same set with its pictures' shorter side at most `size`, so that training reads little.

    The copy is made once, under `course_cache()`, and kept up to date: new and changed originals
    are redone, deleted ones removed, originals never touched. Names and folders stay the same;
    files that cannot be used are left out and reported. A set that is small already, and sound,
    is returned as it is. `folders` limits the pictures as in `get_image_files`. For photos: a
    mask's numbers would be blended.
    """
    source = Path(path).resolve()
    pictures = sorted(get_image_files(source, folders=folders))
    key = hashlib.sha256(f"{source}|{size}|{folders}".encode()).hexdigest()[:12]
    copy = course_cache() / "presized" / f"{source.name}-{size}-{key}"
    copy.parent.mkdir(exist_ok=True)
    if not _are_large(pictures, size) and _are_known_good(pictures, Path(f"{copy}.good")):
        return Path(path)
    others = get_files(source).filter(lambda f: f.suffix.lower() not in SUFFIXES)
    others = others.filter(Path.is_file)
    with file_lock(f"{copy}.lock"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is judged in utils.images
        report = _Copy(source, copy, size).update(pictures + others)
    if not report.usable:
        raise DataError(f"None of the {len(pictures)} pictures in {source} can be used:\n{report}")
    if report.problems:
        print(report)
    return copy
