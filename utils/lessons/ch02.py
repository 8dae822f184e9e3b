"""Chapter 02: a small web on this machine, a download with a memory, a search, a walk in steps."""

import io
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlencode, urlsplit
from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from fastai.torch_core import show_images, to_np
from fastai.vision.all import L, PILImage, get_image_files, parent_label
from fastcore.all import groupby, noop, parallel, urljson, urlread
from PIL import Image, ImageDraw, ImageOps
from scipy.stats import binomtest
from torch import Tensor

from utils.common import AS_UTF8, CourseError, listed, made_whole
from utils.device import timed
from utils.images import ORIENTATION, SUFFIXES, check_images, open_image
from utils.paths import NOTEBOOKS, course_cache, file_lock

LOOPBACK = "127.0.0.1"
OPENVERSE = "https://api.openverse.org/v1/images/"
PAGE = 20  # results per question that Openverse gives someone without a key
PAUSE = 1.0  # seconds between two questions, out of courtesy
COLUMNS = {  # of a search's results, and what we call them
    "url": "address", "license": "licence", "license_version": "", "license_url": "licence_url",
    "creator": "creator", "title": "title", "foreign_landing_url": "page",
}  # fmt: skip


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a file of this kind, with Pillow's options for it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def cut_out(image: Image.Image) -> Image.Image:
    """The picture as RGBA with only an oval of it left; what is transparent is black below."""
    oval = Image.new("L", image.size)
    ImageDraw.Draw(oval).ellipse((0, 0, image.width, image.height), fill=255)
    return Image.composite(image.convert("RGBA"), Image.new("RGBA", image.size), oval)


def palette(image: Image.Image) -> bytes:
    """255 colours, and the one of the corners, a black that stands for transparent."""
    picture = cut_out(image).quantize()
    return encoded(picture, "PNG", transparency=picture.getpixel((0, 0)))


LYING = Image.Exif()  # the note of a phone held upright, whose pictures lie on their side
LYING[ORIENTATION] = 6
# What the web is like: file name → what a well-behaved picture becomes.
UNTIDY: dict[str, Callable[[Image.Image], bytes]] = {
    "webp_inside.jpg": lambda image: encoded(image, "WEBP"),
    "png_inside.jpg": lambda image: encoded(image, "PNG"),
    "palette.png": palette,
    "see_through.png": lambda image: encoded(cut_out(image), "PNG"),
    "printing_colours.jpg": lambda image: encoded(image.convert("CMYK"), "JPEG", quality=92),
    "deep_grey.png": lambda image: encoded(
        image.convert("L").convert("I").point(lambda value: value * 256).convert("I;16"), "PNG"
    ),
    "sideways.jpg": lambda image: encoded(image.rotate(90, expand=True), "JPEG", exif=LYING),
    "animated.gif": lambda image: encoded(
        image, "GIF", save_all=True, append_images=[image.rotate(90), image.rotate(180)]
    ),
    "thirty_megapixels.jpg": lambda image: encoded(
        ImageOps.scale(image, (30e6 / (image.width * image.height)) ** 0.5), "JPEG", quality=40
    ),
    "cut_off.jpg": lambda image: encoded(image, "JPEG")[: len(encoded(image, "JPEG")) // 2],
    "text.jpg": lambda image: b"A note about a bear, saved under the wrong name.\n",
    "empty.jpg": lambda image: b"",
}
BROKEN = ("cut_off.jpg", "text.jpg", "empty.jpg")  # these of them are of no use
GONE = "gone.jpg"  # an address that leads nowhere


def to_gather(parts: Path) -> Path:
    """The folder to gather from: `parts/train`, or all there is where that has one of a label."""
    labels = groupby(get_image_files(parts / "train"), parent_label)
    if min(map(len, labels.values()), default=2) > 1:
        return parts / "train"
    print("note: so few pictures that those of the exam are gathered too: it is no exam then.")
    return parts


class PageHandler(BaseHTTPRequestHandler):
    """Serves the pages of a `PictureServer`, and nothing else."""

    server: "PictureServer"
    log_message = noop  # what is asked would land in the notebook

    def do_GET(self) -> None:
        """Send the page with this path, 404 where there is none."""
        self.server.asked.append(self.path)
        page = self.server.pages.get(self.path)
        self.send_response(404 if page is None else 200)
        self.end_headers()
        self.wfile.write(page.read_bytes() if isinstance(page, Path) else page or b"")


class PictureServer(ThreadingHTTPServer):
    """A web on this machine alone: pictures of `folder`, which has a folder for each label.

    `urls` has the addresses by label, `untidy` those among them of awkward files: nine pictures in
    an untidy form instead of their own, three files of no use, and an address that leads nowhere.
    """

    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        """Make the untidy pictures and serve until `stop()`; `CourseError` without pictures."""
        files = sorted(get_image_files(folder))
        if not files:
            raise CourseError(f"There are no pictures in folders in {folder}: nothing to serve.")
        super().__init__((LOOPBACK, 0), PageHandler)
        self.pages: dict[str, Path | bytes | None] = {}
        self.asked: list[str] = []  # each path that somebody asked for
        self.untidy: list[str] = []
        # so that a set that has changed has other addresses, and nothing old is taken for new
        root = f"{crc32(repr([(str(f), f.stat().st_mtime_ns) for f in files]).encode()):08x}"
        own = groupby(files, parent_label)
        self.urls: dict[str, list[str]] = {label: [] for label in own}
        sound = {label: iter(check_images(own[label][:20]).usable) for label in own}
        for (name, form), label in zip(UNTIDY.items(), cycle(own), strict=False):
            if file := next(sound[label], None):
                image = open_image(file)
                image.thumbnail((800, 800))
                self.untidy.append(self.add(label, f"{root}/untidy/{label}/{name}", form(image)))
                if name not in BROKEN:
                    files.remove(file)
        self.untidy.append(self.add(next(iter(own)), f"{root}/untidy/{GONE}", None))
        for file in files:
            self.add(file.parent.name, f"{root}/{file.relative_to(folder).as_posix()}", file)
        # A proxy that this machine may be set to use is kept out of talks with itself.
        known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        both = f"{known},{LOOPBACK}" if known else LOOPBACK
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = both
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, label: str, path: str, page: Path | bytes | None) -> str:
        """The address of a new page."""
        path = quote(f"/{path}")
        self.pages[path] = page
        self.urls[label].append(url := f"http://{LOOPBACK}:{self.server_port}{path}")
        return url

    def stop(self) -> None:
        """Serve no longer."""
        self.shutdown()
        self.server_close()


@dataclass(frozen=True)
class Gathered:
    """Where the pictures are, and what came of each address."""

    folder: Path
    table: pd.DataFrame  # label, address, file (in `folder/label`; "" for none), reason (for none)

    def __str__(self) -> str:
        """The counts on one line, then each reason with its first addresses."""
        many, missing = len(self.table), self.table[self.table.file == ""]
        came = many - len(missing)
        lines = [f"{many} addresses: {came} files arrived, {len(missing)} did not."]
        for reason, rows in missing.groupby("reason"):
            lines.append(f"  {reason}: {listed([a.rpartition('/')[2] for a in rows.address])}")
        return "\n".join(lines)


def gather(urls: dict[str, Path | Iterable[str]], name: str, again: bool = False) -> Gathered:
    """Download pictures into `folder/label/`, eight at a time; `CourseError` if none arrives.

    `urls` has for each label a list of addresses or a text file of them. The folder lies in
    `course_cache()` and belongs to exactly these: they are not downloaded twice, unless `again`.
    """
    rows: list[tuple[str, str, str]] = []
    for label, source in urls.items():
        if not label or label.startswith(".") or re.search(r"[/\\:\0]", label):
            raise CourseError(f"The label {label!r} cannot name a folder: choose another.")
        if isinstance(source, (str, Path)):
            source = [text_of(Path(source))]
        # Blanks and Windows line ends go: fastai takes them for a part of the address.
        addresses = list(dict.fromkeys(" ".join(source).split()))
        if not addresses:
            raise CourseError(f"The list of addresses for {label!r} is empty: put some into it.")
        rows += zip([label] * len(addresses), addresses, file_names(addresses), strict=True)
    asked = re.sub(rf"{LOOPBACK}:\d+", "", repr(rows))  # our own server's port is never the same
    folder = course_cache() / "gathered" / f"{name}-{crc32(asked.encode()):08x}"
    folder.parent.mkdir(exist_ok=True)
    with file_lock(f"{folder}.lock"):
        if again or not folder.is_dir():
            with made_whole(folder) as part:
                download(rows, part)
        return Gathered(folder, pd.read_csv(folder / "addresses.csv", keep_default_na=False))


def text_of(file: Path) -> str:
    """What a file says in UTF-8, or in UTF-16 with its mark, as Notepad writes it."""
    content = file.read_bytes()
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")  # the mark of UTF-16
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise CourseError(f"{file.name} is not in UTF-8: {AS_UTF8}.") from error


def download(rows: list[tuple[str, str, str]], folder: Path) -> None:
    """Make `folder` with a folder for each label and the table of what came of each address."""
    table = pd.DataFrame(rows, columns=["label", "address", "file"])
    jobs = [(url, folder / label / file) for label, url, file in rows]
    table["reason"] = parallel(fetch, jobs, n_workers=8, threadpool=True, progress=len(jobs) > 50)
    table["file"] = table.file.where(table.reason == "", "")
    if not any(table.file):
        raise CourseError(
            f"Nothing came from any of the {len(rows)} addresses ({table.reason[0]}): check the "
            "network and the list, then run the cell again."
        )
    table.to_csv(folder / "addresses.csv", index=False)


def file_names(urls: list[str]) -> list[str]:
    """A name for the file from each address: its own, with a picture's suffix, each used once."""
    names: dict[str, str] = {}  # by their small letters: some disks take A.jpg for a.jpg
    for url in urls:
        path = Path(unquote(urlsplit(url).path))
        stem = re.sub(r"[^\w. -]", "_", path.stem)[:60].strip(". ") or "picture"
        suffix = path.suffix if path.suffix.lower() in SUFFIXES else ".jpg"
        name, number = f"{stem}{suffix}", 2
        while name.lower() in names:
            name, number = f"{stem}_{number}{suffix}", number + 1
        names[name.lower()] = name
    return list(names.values())


def fetch(job: tuple[str, Path]) -> str:
    """Write what an address gives to a file; returns why nothing came, "" when it did."""
    url, file = job
    if urlsplit(url).scheme not in ("http", "https"):  # file:// would copy from this machine
        return "not a web address"
    try:
        content = urlread(url, decode=False, timeout=4)  # as in fastai's `download_images`
    except HTTPError as error:
        return f"the server answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return f"no whole answer ({getattr(error, 'reason', error)})"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return ""


def search_images(term: str, n: int = PAGE, api: str = OPENVERSE) -> pd.DataFrame:
    """Up to `n` pictures under free licences; the answer's form: https://api.openverse.org/v1/ ."""
    if not term.strip():
        raise CourseError('The search term is empty: type one, such as "grizzly bear".')
    found: list[dict] = []
    page = pages = 1
    while len(found) < n and page <= pages:
        time.sleep(PAUSE if page > 1 else 0)
        url = f"{api}?{urlencode({'q': term, 'page_size': PAGE, 'page': page})}"
        try:
            answer = urljson(url, headers={"User-Agent": "whole-game-course/0.1"}, timeout=12)
            found += [r for r in answer["results"] if str(r["url"]).startswith("http")]
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise CourseError(
                f"No search result came from {urlsplit(api).netloc} ({error}): is there a network, "
                "and no log-in page in between? After too many searches (429) it wants a pause. "
                "The search is an extra; `gather` takes any list of addresses that you have."
            ) from error
        page, pages = page + 1, answer.get("page_count", 1)
    if not found:
        raise CourseError(f"Openverse found nothing for {term!r}: try another word.")
    table = pd.DataFrame(found[:n]).reindex(columns=list(COLUMNS)).fillna("")
    table["license"] = (table.license + " " + table.license_version).str.strip().str.upper()
    return table.drop(columns="license_version").rename(columns=COLUMNS)


def fetch_bears(count: int) -> Path:
    """So many photos under free licences in `photos/bears`, with `licences.csv`; the folder."""
    target = NOTEBOOKS / "photos" / "bears"
    if target.exists():
        raise CourseError(f"{target} is there already: move it away first.")
    each, kinds = -(-count // 3), ("grizzly", "black", "teddy")
    found = {kind: search_images(f"{kind} bear", each) for kind in kinds}
    folder = gather({kind: table.address for kind, table in found.items()}, "photos", True).folder
    usable = {kind: check_images(folder / kind).usable for kind in kinds}
    if few := [kind for kind, files in usable.items() if len(files) < 10]:
        raise CourseError(f"Fewer than ten photos came of {', '.join(few)}: try again later.")
    with made_whole(target) as part:
        for kind, files in usable.items():
            (part / kind).mkdir(parents=True)
            for file in files:
                shutil.copy(file, part / kind)
        pd.concat(found.values()).to_csv(part / "licences.csv", index=False)
    return target


def describe(item: object) -> dict[str, str]:
    """Type, shape, number type and values of an item; of each of its parts for a tuple."""
    if isinstance(item, tuple):
        parts = [describe(part) for part in item]
        return {key: ", ".join(filter(None, (p[key] for p in parts))) for key in parts[0]}
    if isinstance(item, (list, L)):
        first = describe(item[0])
        return first | {"type": f"list of {first['type']}", "shape": f"{len(item)} items"}
    row = {"type": type(item).__name__, "shape": "", "numbers": "", "values": str(item)}
    if isinstance(item, Path):
        return row | {"type": "Path", "values": f"{item.parent.name}/{item.name}"}
    if isinstance(item, Image.Image):
        shape, numbers = f"{item.width} wide, {item.height} high", np.asarray(item)
    elif isinstance(item, torch.Tensor):
        shape, numbers = str(tuple(item.shape)) if item.ndim else "one number", to_np(item)
    else:
        return row
    low, high = numbers.min(), numbers.max()
    values = f"{low:.4g} to {high:.4g}" if low < high else f"{low:.4g}"
    return row | {"shape": shape, "numbers": str(numbers.dtype), "values": values}


@dataclass
class Steps:
    """Runs one step after the other, says what came out of each, and keeps it for the table."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def __call__(self, name: str, step: Callable, item: object) -> object:
        """Run `step(item)`, print what came out and how long it took at best, and return it."""
        result, seconds = timed(lambda: step(item))
        row = describe(result)
        self.rows.append({"step": name, **row, "ms": 1000 * seconds})
        print(f"{name}: {' · '.join(filter(None, row.values()))}  ({1000 * seconds:.2f} ms)")
        return result

    def table(self) -> pd.DataFrame:
        """A row for each step; `ms` is the time it took in milliseconds."""
        return pd.DataFrame(self.rows).set_index("step").round({"ms": 2})


def printed_by(action: Callable[[], object], folder: Path, called: str) -> str:
    """What `action()` prints, and the error it ends in, if any, with `folder` by another name."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            action()
    except Exception as error:  # whatever it is: it is to be read, not handled
        printed.write(f"\n{type(error).__name__}: {error}")
    return printed.getvalue().replace(str(folder), called)


def read_and_meant(files: list[Path]) -> None:
    """Each file as fastai reads it, above what it is meant to look like, on grey."""
    readers: list[Callable] = [PILImage.create, open_image]
    show = [reader(file).to_thumb(110) for reader in readers for file in files]
    titles = [file.stem.replace("_", "\n") for file in files] + [""] * len(files)
    show_images(show, nrows=2, titles=titles, figsize=(9, 2.9), facecolor="0.9")
    plt.setp([axis.title for axis in plt.gcf().axes], size=8)
    for axis, label in zip(plt.gcf().axes[:: len(files)], ("fastai\nreads", "meant"), strict=True):
        axis.annotate(label, (-0.1, 0.5), xycoords="axes fraction", ha="right", va="center")


def rows_of_pictures(rows: dict[str, list[Path]]) -> None:
    """A row of pictures for each label."""
    show = [PILImage.create(file).to_thumb(120) for files in rows.values() for file in files]
    titles = [label for label, files in rows.items() for _ in files]
    show_images(show, nrows=len(rows), titles=titles, figsize=(9, 1.4 * len(rows)))


def titled(pictures: dict[str, Image.Image | torch.Tensor], height: float = 1.9) -> None:
    """The pictures in a row, each with its name above it, on grey that shows where it ends."""
    show_images(pictures.values(), titles=list(pictures), figsize=(9, height), facecolor="0.9")


class Heads:
    """Heads of one layer, trained at the same time; each sets a fifth `aside` (a row a head)."""

    def __init__(self, variants: list[Tensor], labels: Tensor, n: int = 20, seed: int = 1) -> None:
        """Train; in each of the 40 steps one of a picture's variants is drawn by lot."""
        lot = torch.Generator().manual_seed(seed)
        every, self.n = torch.stack(variants), n
        many, classes = len(labels), int(labels.max()) + 1
        self.mean, self.spread = every.mean((0, 1)), every.std((0, 1)) + 0.05
        self.aside = torch.rand(n, many, generator=lot).argsort(1) >= int(0.8 * many)
        self.weight = torch.randn(every.shape[-1], n * classes, generator=lot).mul_(0.01)
        steps = torch.optim.Adam([self.weight.requires_grad_()], lr=1e-3)
        for _ in range(40):
            drawn = torch.randint(len(variants), (many,), generator=lot)
            says = self.scores(every[drawn, torch.arange(many)]).log_softmax(-1)
            loss = -says[:, torch.arange(many), labels].masked_fill(self.aside, 0).sum() / many
            steps.zero_grad()
            loss.backward()
            steps.step()

    def scores(self, seen: Tensor) -> Tensor:
        """A number for each head, picture and label."""
        every = (seen - self.mean) / self.spread @ self.weight
        return every.view(len(seen), self.n, -1).transpose(0, 1)

    def __call__(self, seen: Tensor) -> Tensor:
        """The label that each head (a row) gives each picture (a column)."""
        with torch.no_grad():
            return self.scores(seen).argmax(-1)


def row_by_row(mistakes: pd.DataFrame, of: int) -> None:
    """Mistakes of many heads in each column: a grey line a head, a black line for their means."""
    axis = mistakes.T.plot(figsize=(6, 2.8), color="0.7", lw=0.8, marker=".", legend=False)
    mistakes.mean().plot(ax=axis, color="black", lw=2, marker="o", ms=8)
    axis.set(ylim=(0, None), ylabel=f"mistakes of {of}", xticks=range(mistakes.shape[1]))


def compared(first: Iterable[float], second: Iterable[float]) -> pd.Series:
    """The means of two columns, and in how many rows the first is smaller, the same, larger."""
    one, two = np.array(first), np.array(second)
    counts = [(one < two).sum(), (one == two).sum(), (one > two).sum()]
    values = [round(float(one.mean()), 3), round(float(two.mean()), 3), *map(int, counts)]
    return pd.Series(values, ["mean", "against", "fewer", "the same", "more"], dtype=object)


def of_how_many(counts: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Mistakes, of how many, their share, and what the share could be elsewhere (95 %, Wilson)."""
    table = pd.DataFrame(counts, ["wrong", "of"]).T.astype(int)
    table["error rate"] = table.wrong / table.of
    pairs = table[["wrong", "of"]].to_numpy().tolist()
    table[["from", "to"]] = [binomtest(*pair).proportion_ci(method="wilson") for pair in pairs]
    return table.round(3)
