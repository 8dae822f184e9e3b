"""Draw the sample pet set: 14 breeds, 32 pictures each, named as in the Oxford-IIIT set.

    python data/draw_pets.py --out data/pets --seed 0
    python data/draw_pets.py --only Siamese_3 --out /tmp/pets
    python data/draw_pets.py --sheet sheet.png --out /tmp/pets

The same seed gives the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import io
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from draw import BREEDS, Animal, Background, Light, Occluder, Pose, Scene, render
from draw.animal import camera_for
from draw.body import pose_animal
from draw.scene import BACKGROUNDS
from PIL import Image, ImageDraw

PER_BREED = 32
LEFT_OUT = ("Sphynx",)  # breeds the engine can draw and this set does not hold
QUALITY = 88
SIZES = ((200, 150), (200, 160), (200, 200), (160, 200), (150, 200), (200, 133), (192, 176))


def pet_breeds() -> list[str]:
    """Return the breeds of the set, in the order of the table."""
    return [n for n, b in BREEDS.items() if b.species in ("cat", "dog") and n not in LEFT_OUT]


def picture_seed(breed: str, number: int, seed: int) -> int:
    """Return a number that names this picture, the same on every machine."""
    return zlib.crc32(f"pets/{breed}/{number}/{seed}".encode())


def pet_scene(breed: str, rng: np.random.Generator) -> Scene:
    """Choose how a pet is photographed: close or far, in the open or hidden, in any light."""
    size = SIZES[int(rng.integers(len(SIZES)))]
    variant = int(rng.integers(1 << 30))
    view = str(rng.choice(["head", "whole", "far", "back"], p=[0.7, 0.25, 0.02, 0.03]))
    animal = _head_in_frame(FRAMING[view](breed, variant, rng), size)
    trouble = str(rng.choice(["none", "hidden", "dim", "blurred"], p=[0.76, 0.12, 0.06, 0.06]))
    if view == "far" and trouble != "blurred":  # one trouble at a time: people must still see it
        trouble = "none"
    return Scene(
        size=size,
        background=_place(view, rng),
        light=_light(trouble == "dim", rng),
        animals=(animal,),
        occluders=_in_front(animal, rng) if trouble == "hidden" else (),
        defocus=rng.uniform(0.9, 1.8) if trouble == "blurred" else rng.uniform(0, 0.35),
        grain=rng.uniform(0.004, 0.015),
        tags=(view, trouble),
    )


def _pose(
    breed: str, rng: np.random.Generator, yaw: float, turned: float, stances: tuple[str, ...]
) -> Pose:
    """Hold the body at `yaw`, the head back towards the viewer and about `turned` aside."""
    aside = rng.normal(0, turned)
    pants = BREEDS[breed].species == "dog" and rng.random() < 0.35
    return Pose(
        stance=str(rng.choice(stances)),
        yaw=yaw,
        head_yaw=float(np.clip(-0.75 * yaw + aside, -75, 75)),
        head_pitch=rng.normal(2, 7),
        head_tilt=rng.normal(0, 9),
        stride=rng.uniform(-1, 1),
        mouth=rng.uniform(0.4, 1) if pants else 0.0,
        eyes=rng.choice([0.0, 0.55, 0.85, 1.0], p=[0.05, 0.1, 0.35, 0.5]),
        ears=rng.uniform(-1, 1),
    )


ROOM = {"sit": 0.85, "stand": 0.75, "lie": 1.0}  # taller stances are drawn smaller


def _head(breed: str, variant: int, rng: np.random.Generator) -> Animal:
    pose = _pose(breed, rng, rng.normal(0, 28), 14, ("sit", "sit", "lie"))
    x, y = rng.normal(0.5, 0.1), rng.normal(0.52, 0.08)
    return Animal(breed, pose, x, y, rng.uniform(0.44, 0.7), "head", rng.uniform(-4, 25), variant)


def _whole(breed: str, variant: int, rng: np.random.Generator) -> Animal:
    pose = _pose(breed, rng, rng.normal(0, 40), 14, ("sit", "stand", "lie"))
    x, y, scale = rng.normal(0.5, 0.08), rng.uniform(0.88, 0.99), rng.uniform(0.31, 0.41)
    scale *= ROOM[pose.stance]
    return Animal(breed, pose, x, y, scale, "feet", rng.uniform(2, 28), variant)


def _far(breed: str, variant: int, rng: np.random.Generator) -> Animal:
    pose = _pose(breed, rng, rng.uniform(-90, 90), 40, ("sit", "stand", "lie"))
    x, y, scale = rng.uniform(0.25, 0.75), rng.uniform(0.6, 0.9), rng.uniform(0.13, 0.19)
    return Animal(breed, pose, x, y, scale, "feet", rng.uniform(4, 20), variant)


def _back(breed: str, variant: int, rng: np.random.Generator) -> Animal:
    pose = _pose(
        breed, rng, rng.choice([-1, 1]) * rng.uniform(115, 180), 30, ("sit", "stand", "lie")
    )
    x, y, scale = rng.normal(0.5, 0.1), rng.uniform(0.84, 0.98), rng.uniform(0.22, 0.36)
    scale *= ROOM[pose.stance]
    return Animal(breed, pose, x, y, scale, "feet", rng.uniform(2, 30), variant)


FRAMING = {"head": _head, "whole": _whole, "far": _far, "back": _back}


def _head_in_frame(animal: Animal, size: tuple[int, int], margin: float = 0.16) -> Animal:
    """Shift the animal so that the middle of its head is not cut off: people must see which."""
    _, head = pose_animal(animal, BREEDS[animal.breed]).frames["head"]
    x, y = camera_for(animal, *size).project(head[:, None])[:, 0] / size
    dx, dy = np.clip((x, y), margin, 1 - margin) - (x, y)
    return replace(animal, x=float(animal.x + dx), y=float(animal.y + dy))


def _place(view: str, rng: np.random.Generator) -> Background:
    soft = rng.uniform(1.5, 5) if view == "head" else rng.uniform(0.3, 2.5)
    kind = str(rng.choice(BACKGROUNDS))
    return Background(kind, rng.uniform(0.3, 0.6), soft, int(rng.integers(1 << 30)))


def _light(dim: bool, rng: np.random.Generator) -> Light:
    """Daylight, a warm lamp, or too little of either."""
    warm = rng.normal(0, 0.07)
    return Light(
        azimuth=rng.uniform(-70, 70),
        elevation=rng.uniform(20, 70),
        colour=(1 + warm, 1.0, 1 - 1.3 * warm),
        ambient=(1 - 0.4 * warm, 1.0, 1 + 0.5 * warm),
        contrast=rng.uniform(0.35, 0.85),
        exposure=rng.uniform(0.42, 0.6) if dim else rng.uniform(0.9, 1.2),
    )


def _in_front(animal: Animal, rng: np.random.Generator) -> tuple[Occluder, ...]:
    """Hide part of the animal."""
    kind = str(rng.choice(["leaves", "plant", "box", "chair", "fence", "blanket"]))
    low = animal.y + (0.2 if animal.anchor == "head" else -0.25)
    x = animal.x + rng.choice([-1, 1]) * rng.uniform(0.08, 0.3)
    y = rng.uniform(0.3, 0.8) if kind == "leaves" else low + rng.uniform(-0.15, 0.1)
    if kind == "plant":  # its pot stands on the ground
        y = rng.uniform(0.82, 0.92)
    if kind in ("blanket", "box", "fence"):
        y = max(y, animal.y + (0.12 if animal.anchor == "head" else -0.2))
    size = {"fence": 0.4, "chair": 0.35, "blanket": 0.4}.get(kind, 0.5) * rng.uniform(0.7, 1.1)
    return (Occluder(kind, float(x), float(y), size, int(rng.integers(1 << 30))),)


def draw_pet(breed: str, number: int, seed: int) -> bytes:
    """Draw picture `number` (from 1) of a breed; return the JPEG file's bytes."""
    key = picture_seed(breed, number, seed)
    scene = pet_scene(breed, np.random.default_rng(key))
    file = io.BytesIO()
    Image.fromarray(render(scene, key).image).save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def contact_sheet(files: list[Path], out: Path, columns: int = 16, cell: int = 128) -> None:
    """Lay the pictures out in rows, each with its name."""
    rows = -(-len(files) // columns)
    sheet = Image.new("RGB", (columns * cell, rows * (cell + 14)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, file in enumerate(files):
        x, y = i % columns * cell, i // columns * (cell + 14)
        with Image.open(file) as picture:
            picture.thumbnail((cell - 4, cell - 4))
            sheet.paste(picture, (x + 2, y + 2))
        pen.text((x + 3, y + cell), file.stem[-20:], fill="black")
    sheet.save(out)


def main(argv: list[str] | None = None) -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent / "pets",
        help="folder of the set; pictures go to OUT/images (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws another set")
    parser.add_argument("--only", metavar="NAME", help="one picture, e.g. Siamese_3")
    parser.add_argument(
        "--per-breed",
        type=int,
        default=PER_BREED,
        metavar="N",
        help="pictures of each breed (default: %(default)s)",
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="also lay out a labelled contact sheet"
    )
    args = parser.parse_args(argv)
    names = [f"{b}_{i}" for b in pet_breeds() for i in range(1, args.per_breed + 1)]
    if args.only and args.only not in names:
        parser.error(f"--only {args.only}: not one of {names[0]} … {names[-1]}")
    images = args.out / "images"
    images.mkdir(parents=True, exist_ok=True)
    files, start, total = [], time.perf_counter(), 0
    for name in [args.only] if args.only else names:
        breed, number = name.rsplit("_", 1)
        files.append(images / f"{name}.jpg")
        total += files[-1].write_bytes(draw_pet(breed, int(number), args.seed))
    seconds = time.perf_counter() - start
    print(f"{len(files)} pictures, {total / 1e6:.2f} MB, {seconds:.0f} s, in {images}")
    if args.sheet:
        contact_sheet(files, args.sheet)


if __name__ == "__main__":
    main()
