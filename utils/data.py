"""One call finds data: `dataset("pets")` is a folder, and `COURSE_DATA` says which one."""

import gzip
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse
from urllib.request import urlopen

import fastai.data
from fastai.data.external import URLs, fastai_cfg
from fastai.data.transforms import image_extensions
from fastdownload import checks_module, read_checks
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
    public: str  # where fastai finds the full public set; "": there is none
    layout: str  # where its files are; a picture may have any picture's suffix

    @property
    def url(self) -> str:
        """The archive's address: fastai's own, or the same file name at `COURSE_MIRROR`."""
        mirror = os.environ.get("COURSE_MIRROR", "").strip().rstrip("/")
        if not mirror:
            return self.public
        if urlparse(mirror).scheme not in ("http", "https"):
            raise DataError(f"COURSE_MIRROR is {mirror!r}: set it to an http:// address.")
        return f"{mirror}/{PurePosixPath(self.public).name}"

    @property
    def archive_stem(self) -> str:
        """What fastai calls the folder of the public set; our name where there is none."""
        return PurePosixPath(self.public or self.name).stem

    def is_in(self, folder: Path) -> bool:
        """Whether `folder` has the set's layout, and files that are not empty."""
        suffix = Path(self.layout).suffix
        allowed = SUFFIXES if suffix in SUFFIXES else {suffix}
        # "*/**/*": class folders may lie deeper, in train and valid, or in a folder around all
        layout = Path(self.layout.replace("*/*", "*/**/*")).with_suffix(".*")
        found = (file for file in folder.glob(str(layout)) if file.suffix.lower() in allowed)
        return any(file.is_file() and file.stat().st_size for file in found)


SETS = {
    entry.name: entry
    for entry in [
        DataSet("pets", "cats and dogs", URLs.PETS, "images/*.jpg"),
        DataSet("bears", "bears of three kinds, as gathered", "", "*/*.jpg"),
        DataSet("bears_exam", "the same three, checked, to judge by", "", "*/*.jpg"),
        DataSet("bears_conditions", "bears in the dark, in snow, …", "", "*/**/*.jpg"),
        DataSet("mnist_sample", "handwritten 3s and 7s", URLs.MNIST_SAMPLE, "train/*/*.png"),
        DataSet("mnist", "handwritten digits, all ten", URLs.MNIST, "training/*/*.png"),
        DataSet("camvid", "scenes with masks", URLs.CAMVID_TINY, "images/*.png"),
        DataSet("noses", "bears, and where their noses are", "", "images/*.jpg"),
        DataSet("planet", "pictures with several labels", URLs.PLANET_TINY, "labels.csv"),
        DataSet("penguins", "penguins, measured", "", "penguins.csv"),
        DataSet("adult", "incomes from a census", URLs.ADULT_SAMPLE, "adult.csv"),
        DataSet("ml", "ratings of films", URLs.ML_SAMPLE, "ratings.csv"),
        DataSet("imdb", "reviews of films", URLs.IMDB_SAMPLE, "texts.csv"),
    ]
}


# --- which folder ---------------------------------------------------------------------------


def _entry(name: str) -> DataSet:
    if name in SETS:
        return SETS[name]
    raise DataError(f"There is no set called {name!r}; there are: {', '.join(SETS)}.")


def resolve_source(source: str | None = None) -> str:
    """`sample`, `full`, or the absolute path of a folder; without `source`, from `COURSE_DATA`.

    Raises `DataError` when it is none of the three.
    """
    source = (source or os.environ.get("COURSE_DATA") or "sample").strip()
    if source.lower() in KEYWORDS:
        return source.lower()
    folder = Path(source)
    with suppress(RuntimeError):  # a `~somebody` whom nobody knows
        folder = folder.expanduser()
    folder = folder.resolve()
    for place in (folder, NOTEBOOKS / source):  # `photos` from wherever a command is typed
        if place.is_dir():
            return str(place)
    raise DataError(
        f"COURSE_DATA is {source!r}, and there is no folder {folder}: "
        "set it to sample, to full, or to a folder of your own that exists."
    )


def source_label() -> str:
    """`sample`, `full`, or the name of your folder: short, without this machine's paths."""
    source = os.environ.get("COURSE_DATA", "").strip()
    with suppress(DataError):  # a folder that is not there has a name too
        source = resolve_source()
    name = Path(source).name
    own = source not in KEYWORDS and name in (*KEYWORDS, "photos")
    return f"{name} (your folder)" if own else name


def is_the_courses() -> bool:
    """Whether `COURSE_DATA` is not a folder of your own."""
    return resolve_source() in KEYWORDS


def _own(entry: DataSet, folder: Path) -> Path:
    """The set in a learner's folder, under our name or the public archive's.

    One or two folders around it are looked through, and that is said.
    """
    place = folder / entry.name
    for named in (place, folder / entry.archive_stem):
        for inside in (named, *sorted(named.glob("[!._]*")), *sorted(named.glob("[!._]*/[!._]*"))):
            if entry.is_in(inside):
                if inside != named:
                    print(f"Found {entry.name} inside {inside.relative_to(named)}.")
                return inside
    split = entry.layout.startswith("images/") and any(place.glob("**/[Tt]rain"))
    advice = "without a folder train (the chapters divide a set themselves), " if split else ""
    raise DataError(
        f"Looked for {entry.name} in {place} as {entry.layout}, and it is not there: "
        f"put your files there, {advice}or set COURSE_DATA=sample."
    )


def _sample(entry: DataSet) -> Path:
    if entry.name in digits.LAYOUTS:
        return digits.lay_out(entry.name)
    folder = DATA / entry.name
    if entry.is_in(folder):
        return folder
    advice = f"type `git checkout -- data/{entry.name}` in the course's folder."
    if entry.public and not folder.exists():  # of some the course has no sample
        advice = "set COURSE_DATA=full."
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
    if source == "full" and not entry.public:
        print(f"There is no public archive of {name}; the course's own set is used.")
        source = "sample"
    if source == "sample":
        return _sample(entry)
    if source == "full":
        return fetch(name)
    folder = _own(entry, Path(source))
    for table in folder.glob("*.csv"):  # which pandas is to read
        try:
            table.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise CourseError(f"{table} is not in UTF-8: {AS_UTF8}.") from error
    return folder


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


def inventory() -> list[list[str]]:
    """For each set its name, title and sample, and whether the full one is here, and its size.

    Asks nothing of the network.
    """
    public_sizes = read_checks(checks_module(fastai.data))
    rows = []
    for entry in SETS.values():
        sizes = [file.stat().st_size for file in (DATA / entry.name).rglob("*") if file.is_file()]
        if entry.name in digits.LAYOUTS:
            sizes = [digits.SIZE] * digits.count(entry.name)
        sample = f"{len(sizes)} files, {sum(sizes) / MB:.1f} MB" if sizes else "no"
        full = "there is none"
        if entry.public:
            here = False
            with suppress(OSError):  # a home in which fastai cannot even keep its settings
                here = entry.is_in(fastai_cfg().path("data") / entry.archive_stem)
            size = public_sizes[entry.public][0] / MB
            full = f"{'here' if here else 'not here'}, {size:,.1f} MB"
        rows.append([entry.name, entry.title, sample, full])
    return rows


# --- the full public set --------------------------------------------------------------------


def _members(entry: DataSet, how_much: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The public archive and each file in it, while it comes; prints its size and how far it is."""
    with urlopen(entry.url, timeout=TIMEOUT) as answer, gzip.open(answer) as content:
        file, total = PurePosixPath(entry.url).name, answer.length  # none if the server is silent
        known = read_checks(checks_module(fastai.data)).get(entry.url)  # by its public address
        if known and total and total != known[0]:
            raise tarfile.ReadError(f"{total:,} bytes, and fastai knows {known[0]:,}")
        size = f"{total / MB:.1f} MB" if total else "of unknown size"
        print(f"Downloading {file}, {size}, {how_much}, from {urlparse(entry.url).netloc}.")
        bar = progress_bar([], leave=False)
        bar.total = total
        bar.update(0)
        try:
            with tarfile.open(fileobj=content, mode="r|") as tar:
                for member in tar:
                    if not member.isdir():
                        yield tar, member
                    if answer.length:
                        bar.update(total - answer.length)
            while content.read(MB):  # to the end, where the checksum is
                pass
        finally:
            bar.on_iter_end()


def _plain(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """tarfile's own filter for a member, less the folder around all of an archive.

    No links: Pythons up to 3.11.12 follow chains of them outside.
    """
    if not member.isfile():
        raise tarfile.SpecialFileError(member)
    inner = "/".join(PurePosixPath(member.name).parts[1:])
    return tarfile.data_filter(member.replace(name=inner), folder)


@contextmanager
def _in_words(name: str, again: str) -> Iterator[None]:
    """What can go wrong with a download, as a `DataError` that says what to type."""
    url = _entry(name).url
    try:
        yield
    except (OSError, HTTPException, tarfile.TarError, EOFError, zlib.error) as error:
        why = printable(error)
        if why.startswith("Not a gzipped file"):
            why = "a web page (a network's log-in?) came in its place"
        raise DataError(
            f"Could not download {name} ({why}): type `{again}` to try again, or get {url} on "
            "another machine, unpack it, and set COURSE_DATA to the folder it is in, or set "
            "COURSE_DATA=sample to go on without."
        ) from error


def fetch(name: str) -> Path:
    """The full public set, downloaded once to where `untar_data` would have it.

    fastai's own would unpack outside its folder if an archive said so, leave half a set when it
    is killed, and keep an archive that it cannot unpack. Raises `DataError` without a network and
    for an archive that cannot be used; the next call starts afresh.
    """
    entry, again = _entry(name), f"course data fetch {name}"
    if not entry.public:
        raise DataError(f"There is no public archive of {name}: set COURSE_DATA=sample.")
    with _in_words(name, again):
        folder, archives = (fastai_cfg().path(kind) for kind in ("data", "archive"))
        folder = folder / entry.archive_stem
        archives.mkdir(parents=True, exist_ok=True)
        with file_lock(archives / f"{folder.name}.lock"):
            if not folder.exists():
                with made_whole(folder) as part:
                    for tar, member in _members(entry, "once"):
                        tar.extract(member, part, filter=_plain)
    if not entry.is_in(folder):
        raise DataError(
            f"Looked for {name} in {folder} as {entry.layout}, and it is not there: "
            f"move that folder away and type `{again}`."
        )
    return folder


def fetch_photos(count: int, folder: Path = NOTEBOOKS / "photos") -> Path:
    """So many photos of the public pets, half of them cats, in `folder/pets/images`.

    The archive is read no further than needed; of a breed at most a twentieth of `count` is taken,
    since it may have one breed after the other. There are fewer where it has not so many. Raises
    `DataError` as `fetch` does, and where there are photos already; nothing is left then.
    """
    target, again = folder / "pets", f"course data fetch pets --photos {count}"
    if target.exists():
        raise DataError(f"{target} is there already: move it away, then type `{again}`.")
    taken: Counter[str] = Counter()
    with _in_words("pets", again), made_whole(target) as part:
        for tar, member in _members(SETS["pets"], "as far as needed"):
            breed = re.fullmatch(r"[^/]+/images/([A-Za-z_]+_)\d+\.jpg", member.name)
            if not breed:
                continue
            kind = "cats" if breed[1][0].isupper() else "dogs"
            if taken[kind] < count / 2 and taken[breed[1]] < count / 20:
                taken.update((breed[1], kind))
                tar.extract(member, part, filter=_plain)
            if taken["cats"] + taken["dogs"] >= count:
                break
        if min(taken["cats"], taken["dogs"]) < 10:
            raise EOFError("there were hardly any photos in it")
    return target / "images"
