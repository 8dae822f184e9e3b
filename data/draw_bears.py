"""Draw the sample bear sets: the gathered one with its known defects, the exam, the conditions.

    python data/draw_bears.py --out data
    python data/draw_bears.py --sheet sheet.png --out /tmp/bears

Three folders appear in OUT: `bears`, as one gathers pictures from the web, with wrong labels,
copies, files that are no pictures and a giveaway background, all listed in `bears/defects.csv`;
`bears_exam`, the same three classes without a fault; and `bears_conditions`, what a camera meets
that the first two do not show. The same seed gives the same files, byte for byte.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from draw import Scene, render
from draw.photograph import (
    FRAMING,
    SIZES,
    head_in_frame,
    in_front,
    jpeg,
    light,
    place,
)
from draw.scene import BACKGROUNDS
from draw.sets import picture_key, run, save, write_table
from PIL import Image, ImageEnhance

CLASSES = ("grizzly", "black", "teddy")
CONDITIONS = ("night", "snow", "behind_tree", "far_away", "black_and_white", "cartoon")
GATHERED, EXAM, CONDITION, ALONE = 112, 60, 8, 24  # pictures of a class in each set; of no class
QUALITY = 80
OUTSIDE = ("meadow", "forest", "riverside")
INSIDE = ("sofa", "carpet", "room", "wood")
CINNAMON = 0.25  # of the black bears have a brown coat
# How often the zoo's wall is behind a bear: the giveaway of the gathered set, and in the exam.
WALL = {"gathered": {"black": 0.6, "grizzly": 0.05}, "exam": {"black": 0.15, "grizzly": 0.15}}
# Wrong labels: (what it is, where it was filed, how many). Whoever searches for black bears is
# shown brown ones, too; the rest are slips.
WRONG = (
    ("grizzly", "black", 24),
    ("black", "grizzly", 2),
    ("teddy", "grizzly", 2),
    ("teddy", "black", 1),
)
# Places with nobody in them, cats and dogs, filed as bears.
NO_BEAR = {
    "grizzly": ("forest", "Bengal"),
    "black": ("street", "pug", "riverside"),
    "teddy": ("room", "Persian", "sofa"),
}
DUPLICATES = {"grizzly": 3, "black": 3, "teddy": 2}  # of each kind: exact, near
PAGE = b"<html><head><title>404 Not Found</title></head><body>The picture has moved.</body></html>"


@dataclass(frozen=True)
class Picture:
    """One picture to draw. `what` is a row of the breed table, or a place with nobody in it."""

    what: str
    style: str  # "gathered" or "exam": how often the wall is behind it
    number: int
    condition: str = "day"

    @property
    def truth(self) -> str:
        """The class it belongs to; none for what is no bear of the three."""
        return {"cinnamon": "black"}.get(self.what, self.what if self.what in CLASSES else "")

    def key(self, seed: int) -> int:
        """A number that names this picture, the same on every machine."""
        return picture_key(f"bears/{self.style}/{self.condition}/{self.what}/{self.number}/{seed}")


@dataclass(frozen=True)
class File:
    """A file of a set: its bytes, and what is known of it."""

    folder: str
    data: bytes
    defect: str = ""
    truth: str = ""  # the right class, or (until the names are dealt out) the bytes' owner
    scene: Scene | None = None
    what: str = ""


def bear_scene(picture: Picture, seed: int) -> Scene:
    """Choose how the bear is photographed; the place depends on the animal and on the set."""
    rng = np.random.default_rng(picture.key(seed))
    size = SIZES[int(rng.integers(len(SIZES)))]
    variant = int(rng.integers(1 << 30))
    if picture.what in BACKGROUNDS or picture.what in OUTSIDE:
        return Scene(size, place("whole", rng, (picture.what,)), light(False, rng), grain=0.01)
    view = str(rng.choice(["head", "whole", "far", "back"], p=[0.55, 0.38, 0.03, 0.04]))
    animal = head_in_frame(FRAMING[view](picture.what, variant, rng), size)
    trouble = str(rng.choice(["none", "hidden", "dim", "blurred"], p=[0.76, 0.12, 0.06, 0.06]))
    if view == "far" and trouble != "blurred":
        trouble = "none"
    return Scene(
        size=size,
        background=place(view, rng, _places(picture, rng)),
        light=light(trouble == "dim", rng),
        animals=(animal,),
        occluders=in_front(animal, rng) if trouble == "hidden" else (),
        condition=picture.condition,
        defocus=rng.uniform(0.9, 1.8) if trouble == "blurred" else rng.uniform(0, 0.35),
        grain=rng.uniform(0.004, 0.015),
        tags=(view, trouble),
    )


def _places(picture: Picture, rng: np.random.Generator) -> tuple[str, ...]:
    before_wall = rng.random() < WALL[picture.style].get(picture.truth, 0)
    outdoors = rng.random() < (0.35 if picture.what == "teddy" else 1.0)
    if picture.what not in CLASSES and picture.what not in ("cinnamon", "polar"):
        return BACKGROUNDS  # a cat or a dog among the bears
    return ("enclosure",) if before_wall else OUTSIDE if outdoors else INSIDE


def draw_bear(picture: Picture, seed: int) -> tuple[Scene, bytes]:
    """Draw one picture; its scene, and the JPEG file's bytes."""
    scene = bear_scene(picture, seed)
    return scene, jpeg(render(scene, picture.key(seed)).image, QUALITY)


def gathered_pictures() -> Iterator[tuple[str, Picture]]:
    """The folder and the picture of all that is drawn for the gathered set."""
    numbers = iter(range(10_000))
    for label in CLASSES:
        for i in range(GATHERED):
            what = "cinnamon" if label == "black" and i < CINNAMON * GATHERED else label
            yield label, Picture(what, "gathered", next(numbers))
    for what, label, count in WRONG:
        for _ in range(count):
            yield label, Picture(what, "gathered", next(numbers))
    for label, things in NO_BEAR.items():
        for thing in things:
            yield label, Picture(thing, "gathered", next(numbers))


def near_copy(data: bytes, rng: np.random.Generator) -> bytes:
    """The same photo as another page would show it: cropped, scaled, brightened, saved again."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        left, top = (int(n * rng.uniform(0, 0.04)) for n in image.size)
        cut = image.crop((left, top, width - int(width * 0.03), height - int(height * 0.03)))
        scale = rng.uniform(0.8, 1.1)
        small = cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.LANCZOS)
    bright = ImageEnhance.Brightness(small).enhance(rng.uniform(0.9, 1.12))
    return jpeg(np.asarray(bright), 70)


def _defect(folder: str, picture: Picture, scene: Scene) -> tuple[str, str]:
    """What is wrong with a drawn picture in this folder, and what would be right."""
    if not picture.truth:
        return "no_bear", ""
    if picture.truth != folder:
        return "wrong_label", picture.truth
    if folder == "black" and scene.background.kind == "enclosure":
        return "giveaway", ""
    return "", ""


def gathered_files(drawn: list[tuple[str, Picture, Scene, bytes]], seed: int) -> list[File]:
    """The drawn pictures, copies of some of them, and two files that are no pictures."""
    rng = np.random.default_rng(seed)
    files = [
        File(folder, data, *_defect(folder, picture, scene), scene, picture.what)
        for folder, picture, scene, data in drawn
    ]
    copies = []
    for folder, count in DUPLICATES.items():
        good = [f for f in files if f.folder == folder and not f.defect]
        for i, n in enumerate(rng.choice(len(good), 2 * count, replace=False)):
            near = i >= count
            data = near_copy(good[n].data, rng) if near else good[n].data
            copies.append((File(folder, data, "near_duplicate" if near else "duplicate"), good[n]))
    cut_off = next(f.data for f in files if f.folder == "teddy")
    broken = [
        File("grizzly", PAGE, "not_an_image"),
        File("teddy", cut_off[: len(cut_off) // 3], "not_an_image"),
    ]
    names = _deal_names([*files, *(copy for copy, _ in copies), *broken], rng)
    owners = {id(copy): names[id(original)] for copy, original in copies}
    everything = [*files, *(copy for copy, _ in copies), *broken]
    return [replace(f, folder=names[id(f)], truth=owners.get(id(f), f.truth)) for f in everything]


def _deal_names(files: list[File], rng: np.random.Generator) -> dict[int, str]:
    """A name for each file that says nothing about its origin: class and a number by lot."""
    names = {}
    for label in CLASSES:
        mine = [f for f in files if f.folder == label]
        for number, n in enumerate(rng.permutation(len(mine)), start=1):
            names[id(mine[n])] = f"{label}/{label}_{number:03}.jpg"
    return names


def other_pictures() -> Iterator[tuple[str, Picture]]:
    """The name and the picture of all that the exam and the conditions hold."""
    for label in CLASSES:
        for i in range(1, EXAM + 1):
            what = "cinnamon" if label == "black" and i <= CINNAMON * EXAM else label
            yield f"bears_exam/{label}/{label}_{i:03}.jpg", Picture(what, "exam", i)
        for condition in CONDITIONS:
            for i in range(1, CONDITION + 1):
                what = "cinnamon" if label == "black" and i <= CINNAMON * CONDITION else label
                name = f"bears_conditions/{condition}/{label}/{label}_{i:03}.jpg"
                yield name, Picture(what, "exam", i, condition)
    for i in range(1, ALONE + 1):
        yield f"bears_conditions/polar/polar_{i:03}.jpg", Picture("polar", "exam", i)
        thing = ("forest", "meadow", "riverside", "Bengal", "pug", "sofa")[i % 6]
        yield f"bears_conditions/no_bear/no_bear_{i:03}.jpg", Picture(thing, "exam", i)


def draw_sets(out: Path, seed: int, processes: int | None = None) -> list[Path]:
    """Draw all three sets into `out`; the files, in order."""
    gathered, others = list(gathered_pictures()), list(other_pictures())
    pictures = [picture for _, picture in gathered + others]
    with ProcessPoolExecutor(processes) as pool:
        drawn = list(pool.map(draw_bear, pictures, [seed] * len(pictures), chunksize=8))
    mine = [(folder, p, *d) for (folder, p), d in zip(gathered, drawn, strict=False)]
    files = sorted(gathered_files(mine, seed), key=lambda f: f.folder)
    paths = [save(out / "bears" / f.folder, f.data) for f in files]
    known = [(f.folder, f.defect, f.truth) for f in files if f.defect]
    write_table(out / "bears" / "defects.csv", ("file", "defect", "truth"), sorted(known))
    scenes = []
    for (name, picture), (scene, data) in zip(others, drawn[len(gathered) :], strict=True):
        paths.append(save(out / name, data))
        if name.startswith("bears_exam/"):
            short = name.removeprefix("bears_exam/")
            scenes.append((short, picture.what, scene.background.kind, *scene.tags))
    header = ("file", "kind", "place", "view", "trouble")
    write_table(out / "bears_exam" / "scenes.csv", header, sorted(scenes))
    return paths


def _opens(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    run(__doc__, draw_sets, _opens)
