"""Pictures from addresses: a small web on this machine, a download with a memory, a search.

Taught in chapter 02, "Gather pictures".
"""

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import cycle
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pandas as pd
from fastai.data.transforms import get_image_files
from fastai.vision.utils import download_images
from fastcore.parallel import parallel
from PIL import Image, ImageDraw

from utils.common import CourseError, text_of
from utils.images import ORIENTATION, SUFFIXES, ImageError, open_image
from utils.paths import course_cache, file_lock

LOOPBACK = "127.0.0.1"
TIMEOUT = 4  # seconds without a byte, as in fastai's `download_images`
AT_ONCE = 8  # addresses asked for at the same time, as there
SIDE, MEGAPIXELS = 800, 30  # an untidy picture's longer side; what the enlarged one has
OPENVERSE = "https://api.openverse.org/v1/images/"
PAGE = 20  # results per question that Openverse gives someone without a key
PAUSE = 1.0  # seconds between two questions, out of courtesy
LIST = "addresses.csv"


class GatherError(CourseError):
    """Pictures that cannot be had; the sentence says what to do."""


# --- untidy pictures ------------------------------------------------------------------------


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _cut_out(image: Image.Image) -> Image.Image:
    """The picture as RGBA with only an oval of it left; what is transparent is black below."""
    oval = Image.new("L", image.size)
    ImageDraw.Draw(oval).ellipse((0, 0, image.width, image.height), fill=255)
    picture = Image.composite(image, Image.new("RGB", image.size), oval)
    picture.putalpha(oval)
    return picture


def _palette(image: Image.Image) -> bytes:
    """255 colours, and before them, as number 0, a black that stands for transparent."""
    picture = image.quantize(255)
    colours = picture.getpalette()
    picture = picture.point(lambda number: number + 1)
    picture.putpalette([0, 0, 0, *colours][: 256 * 3])
    picture.paste(0, mask=_cut_out(image).getchannel("A").point(lambda alpha: 255 - alpha))
    return _encoded(picture, "PNG", transparency=0)


def _sideways(image: Image.Image) -> bytes:
    """As a phone held upright writes it: lying on its side, with a note of which way is up."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return _encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=92)


def _enlarged(image: Image.Image) -> bytes:
    scale = (MEGAPIXELS * 1e6 / (image.width * image.height)) ** 0.5
    size = (round(image.width * scale), round(image.height * scale))
    return _encoded(image.resize(size, Image.Resampling.BILINEAR), "JPEG", quality=40)


def _cut_off(image: Image.Image) -> bytes:
    data = _encoded(image, "JPEG")
    return data[: len(data) // 2]


# What the web is like: file name → what a well-behaved picture becomes.
UNTIDY: dict[str, Callable[[Image.Image], bytes]] = {
    "webp_inside.jpg": lambda image: _encoded(image, "WEBP"),
    "png_inside.jpg": lambda image: _encoded(image, "PNG"),
    "palette.png": _palette,
    "see_through.png": lambda image: _encoded(_cut_out(image), "PNG"),
    "printing_colours.jpg": lambda image: _encoded(image.convert("CMYK"), "JPEG", quality=92),
    "deep_grey.png": lambda image: _encoded(
        image.convert("L").convert("I").point(lambda value: value * 256).convert("I;16"), "PNG"
    ),
    "sideways.jpg": _sideways,
    "animated.gif": lambda image: _encoded(
        image, "GIF", save_all=True, append_images=[image.rotate(90), image.rotate(180)]
    ),
    "thirty_megapixels.jpg": _enlarged,
    "cut_off.jpg": _cut_off,
    "text.jpg": lambda image: b"A note about a bear, saved under the wrong name.\n",
    "empty.jpg": lambda image: b"",
}
BROKEN = ("cut_off.jpg", "text.jpg", "empty.jpg")  # these of them are of no use
GONE = "gone.jpg"  # an address that leads nowhere


# --- a small web ----------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = self.server.pages.get(self.path)
        if page is None:
            return self.send_error(404)
        data = page if isinstance(page, bytes) else page.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Say nothing: the log would land in the notebook."""


def _reach_loopback_directly() -> None:
    """Keep a proxy that this machine may be set to use out of talks with itself."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if LOOPBACK not in known.split(","):
        known = ",".join(filter(None, [known, LOOPBACK]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = known


def _usable(files: Iterable[Path]) -> Iterator[tuple[Path, Image.Image]]:
    for file in files:
        try:
            yield file, open_image(file)
        except ImageError:
            continue


class PictureServer(ThreadingHTTPServer):
    """A web on this machine alone: pictures of `folder`, which has a folder for each label.

    `urls` has the addresses by label, `untidy` those among them of awkward files: nine pictures
    are there in an untidy form instead of their own (`UNTIDY`), and three files that are of no
    use and an address that leads nowhere come on top. Serves these and nothing else, from its
    creation until `stop()`. Raises `GatherError` for a folder without pictures.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        """Make the untidy pictures and start to serve."""
        files = sorted(get_image_files(folder))
        if not files:
            raise GatherError(f"There are no pictures in folders in {folder}: nothing to serve.")
        super().__init__((LOOPBACK, 0), _Handler)
        self.pages: dict[str, Path | bytes | None] = {}
        self.urls: dict[str, list[str]] = {file.parent.name: [] for file in files}
        self.untidy: list[str] = []
        self.root = _fingerprint(folder, files)
        self._lay_out(files)
        _reach_loopback_directly()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def _lay_out(self, files: list[Path]) -> None:
        own = {label: [f for f in files if f.parent.name == label] for label in self.urls}
        usable, replaced = {label: _usable(own[label]) for label in own}, set()
        for name, label in zip(UNTIDY, cycle(own), strict=False):
            file, image = next(usable[label], (None, None))
            if image:
                image.thumbnail((SIDE, SIDE))
                self.untidy.append(self._add(label, name, UNTIDY[name](image)))
                replaced |= {file} if name not in BROKEN else set()
        self.untidy.append(self._add(next(iter(own)), GONE, None))
        for file in files:
            if file not in replaced:
                self._add(file.parent.name, file.name, file)

    def _add(self, label: str, name: str, page: Path | bytes | None) -> str:
        # Plain short names: an address takes more characters than a file system does.
        folder, stem = (re.sub(r"[^\w-]", "_", n, flags=re.ASCII) for n in (label, Path(name).stem))
        path = f"/{self.root}/{folder[:60]}/{stem[:60]}{Path(name).suffix}"
        while path in self.pages:
            path = f"{path.removesuffix(Path(path).suffix)}_{Path(path).suffix}"
        self.pages[path] = page
        self.urls[label].append(f"http://{LOOPBACK}:{self.server_port}{path}")
        return self.urls[label][-1]

    def stop(self) -> None:
        """Serve no longer."""
        self.shutdown()
        self.server_close()


def _fingerprint(folder: Path, files: list[Path]) -> str:
    """Other pictures, other addresses: what was gathered earlier is then not taken for these."""
    stamps = [(f.relative_to(folder), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return _short_hash([(path.as_posix(), *numbers) for path, *numbers in stamps])


def _short_hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:10]


# --- download -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gathered:
    """Where the pictures are, and what came of each address.

    `table` has the columns label, address, file (its name in `folder/label`, empty when nothing
    arrived) and reason (why nothing did). It is kept as `addresses.csv` in the folder.
    """

    folder: Path
    table: pd.DataFrame

    @property
    def missing(self) -> pd.DataFrame:
        """The addresses from which nothing came."""
        return self.table[self.table.file == ""]

    def __str__(self) -> str:
        """The counts on one line, then each reason with its first addresses."""
        came = len(self.table) - len(self.missing)
        lines = [f"{len(self.table)} addresses: {came} files arrived, {len(self.missing)} did not."]
        for reason, rows in self.missing.groupby("reason"):
            names = [_plain(address.rpartition("/")[2]) for address in rows.address]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"  {reason}: {', '.join(names[:5])}{more}")
        return "\n".join(lines)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def read_addresses(listed: Path | str | Iterable[str]) -> list[str]:
    """The addresses in a text file, or in a list, each once: blanks and Windows line ends dropped.

    fastai splits such a file at newlines only: from a Windows file every address then ends in
    an invisible character and fails.
    """
    if isinstance(listed, (str, Path)):
        text = text_of(Path(listed).read_bytes(), Path(listed).name)
    else:
        text = " ".join(listed)
    return list(dict.fromkeys(text.split()))


def gather(urls: dict[str, Path | Iterable[str]], name: str, again: bool = False) -> Gathered:
    """Download pictures with fastai's `download_images` into `folder/label/`, once.

    `urls` has for each label a list of addresses or a text file of them. The folder lies in
    `course_cache()` and belongs to exactly these addresses: the same ones are not downloaded
    again (unless `again`), others get a folder of their own, so that nothing is mixed. Raises
    `GatherError` when not a single address answers.
    """
    lists = {label: read_addresses(listed) for label, listed in urls.items()}
    for label, listed in lists.items():
        if not label or label.startswith(".") or re.search(r"[/\\:\0]", label):
            raise GatherError(f"The label {label!r} cannot name a folder: choose another.")
        if not listed:
            raise GatherError(f"The list of addresses for {label!r} is empty: put some into it.")
    folder = course_cache() / "gathered" / f"{name}-{_key(lists)}"
    folder.parent.mkdir(exist_ok=True)
    with file_lock(f"{folder}.lock"):
        if again or not folder.is_dir():
            _download(lists, folder)
        return Gathered(folder, pd.read_csv(folder / LIST, keep_default_na=False))


def _key(lists: dict[str, list[str]]) -> str:
    # Our own server has another port each time; what it serves is in the rest of its addresses.
    return _short_hash(re.sub(rf"http://{re.escape(LOOPBACK)}:\d+", "", json.dumps(lists)))


def _download(lists: dict[str, list[str]], folder: Path) -> None:
    """Everything into a scratch folder, which takes the final name when it is complete."""
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    arriving, rows = scratch / ".arriving", []
    for label, urls in lists.items():
        jobs = [(url, arriving / str(n)) for n, url in enumerate(urls)]
        shown = len(jobs) > 50  # seconds, then
        found = parallel(_download_one, jobs, n_workers=AT_ONCE, threadpool=True, progress=shown)
        (scratch / label).mkdir(parents=True)
        taken = set()
        for url, (file, reason) in zip(urls, found, strict=True):
            name = _move(file, scratch / label, taken) if file else ""
            rows.append((label, url, name, reason))
        shutil.rmtree(arriving, ignore_errors=True)
    table = pd.DataFrame(rows, columns=["label", "address", "file", "reason"])
    if not any(table.file):
        shutil.rmtree(scratch)
        raise GatherError(
            f"Nothing came from any of the {len(rows)} addresses "
            f"({table.address[0]}: {table.reason[0]}): "
            "check the network and the list, then run the cell again."
        )
    table.to_csv(scratch / LIST, index=False)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def _download_one(job: tuple[str, Path]) -> tuple[Path | None, str]:
    """The file that came from an address, or None and why none did.

    Each address gets a folder of its own: `download_images` says nothing of what failed, and two
    of its threads may write files of the same name into one.
    """
    url, place = job
    if urlsplit(url).scheme not in ("http", "https"):  # file:// would copy from this machine
        return None, "not a web address"
    place.mkdir(parents=True)
    download_images(place, urls=[url], n_workers=0, timeout=TIMEOUT, preserve_filename=True)
    files = [file for file in place.iterdir() if file.suffix != ".part"]
    return (files[0], "") if files else (None, _why_not(url))


def _why_not(url: str) -> str:
    """Ask once more, to hear the reason that `download_images` keeps to itself."""
    try:
        with urlopen(_request(url), timeout=TIMEOUT):
            return "the download broke off"
    except HTTPError as error:
        return f"the server answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return f"no answer ({getattr(error, 'reason', error)})"


def _move(file: Path, folder: Path, taken: set[str]) -> str:
    """Move a file into `folder` under a name that is not `taken` there, with a picture's suffix."""
    suffix = file.suffix if file.suffix.lower() in SUFFIXES else ".jpg"
    name, number = f"{file.stem}{suffix}", 2
    while name.lower() in taken:  # some file systems take A.jpg and a.jpg for the same
        name, number = f"{file.stem}_{number}{suffix}", number + 1
    taken.add(name.lower())
    file.rename(folder / name)
    return name


def _request(url: str) -> Request:
    return Request(url, headers={"User-Agent": "whole-game-course/0.1"})


# --- search ---------------------------------------------------------------------------------


def search_images(term: str, n: int = PAGE, api: str = OPENVERSE) -> pd.DataFrame:
    """Up to `n` pictures under free licences from Openverse, which asks for no key.

    Columns: address, licence, licence_url, creator, title, page (where the picture was found).
    Form of the answer: https://api.openverse.org/v1/ . Raises `GatherError` with a sentence when
    there is no network, when Openverse wants a pause, and when nothing is found.
    """
    if not term.strip():
        raise GatherError('The search term is empty: type one, such as "grizzly bear".')
    rows, page, pages = [], 1, 1
    while len(rows) < n and page <= pages:
        time.sleep(PAUSE if page > 1 else 0)
        answer = _ask(f"{api}?{urlencode({'q': term, 'page_size': PAGE, 'page': page})}")
        rows += [_found(r) for r in answer["results"] if str(r["url"]).startswith("http")]
        page, pages = page + 1, answer.get("page_count", 1)
    if not rows:
        raise GatherError(f"Openverse found nothing for {term!r}: try another word.")
    return pd.DataFrame(rows[:n])


def _found(result: dict) -> dict[str, str]:
    licence = f"{result.get('license', '')} {result.get('license_version') or ''}".strip().upper()
    public = licence.startswith(("CC0", "PDM"))
    return {
        "address": result["url"],
        "licence": licence if public else f"CC {licence}",
        "licence_url": result.get("license_url") or "",
        "creator": result.get("creator") or "",
        "title": result.get("title") or "",
        "page": result.get("foreign_landing_url") or "",
    }


def _ask(url: str) -> dict:
    host = urlsplit(url).netloc
    otherwise = "The search is an extra; `gather` takes any list of addresses that you have."
    try:
        with urlopen(_request(url), timeout=3 * TIMEOUT) as answer:
            found = json.load(answer)
        [result["url"] for result in found["results"]]
    except HTTPError as error:
        pause = (
            "wants a pause (too many searches): try again later"
            if error.code == 429
            else (f"did not accept the search (it answered {error.code})")
        )
        raise GatherError(f"{host} {pause}. {otherwise}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise GatherError(
            f"What came from {host} is no search result; perhaps a log-in page of the network "
            f"is in between. {otherwise}"
        ) from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise GatherError(
            f"There is no network, or {host} cannot be reached ({reason}). {otherwise}"
        ) from error
    return found
