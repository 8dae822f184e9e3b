"""Draw the sample pet set: 14 breeds, 32 pictures each, named as in the Oxford-IIIT set.

    python data/draw_pets.py --out data/pets --seed 0
    python data/draw_pets.py --only Siamese_3 --out /tmp/pets
    python data/draw_pets.py --sheet sheet.png --out /tmp/pets

The same seed gives the same files, byte for byte; on another processor a few hairs may differ.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from draw import BREEDS, Scene, render
from draw.photograph import (
    FRAMING,
    SIZES,
    contact_sheet,
    head_in_frame,
    in_front,
    jpeg,
    light,
    place,
)
from draw.scene import BACKGROUNDS
from draw.sets import picture_key

PER_BREED = 32
LEFT_OUT = ("Sphynx",)  # breeds the engine can draw and this set does not hold
QUALITY = 88


def pet_breeds() -> list[str]:
    """Return the breeds of the set, in the order of the table."""
    return [n for n, b in BREEDS.items() if b.species in ("cat", "dog") and n not in LEFT_OUT]


def picture_seed(breed: str, number: int, seed: int) -> int:
    """Return a number that names this picture, the same on every machine."""
    return picture_key(f"pets/{breed}/{number}/{seed}")


def pet_scene(breed: str, rng: np.random.Generator) -> Scene:
    """Choose how a pet is photographed: close or far, in the open or hidden, in any light."""
    size = SIZES[int(rng.integers(len(SIZES)))]
    variant = int(rng.integers(1 << 30))
    view = str(rng.choice(["head", "whole", "far", "back"], p=[0.7, 0.25, 0.02, 0.03]))
    animal = head_in_frame(FRAMING[view](breed, variant, rng), size)
    trouble = str(rng.choice(["none", "hidden", "dim", "blurred"], p=[0.76, 0.12, 0.06, 0.06]))
    if view == "far" and trouble != "blurred":  # one trouble at a time: people must still see it
        trouble = "none"
    return Scene(
        size=size,
        background=place(view, rng, BACKGROUNDS),
        light=light(trouble == "dim", rng),
        animals=(animal,),
        occluders=in_front(animal, rng) if trouble == "hidden" else (),
        defocus=rng.uniform(0.9, 1.8) if trouble == "blurred" else rng.uniform(0, 0.35),
        grain=rng.uniform(0.004, 0.015),
        tags=(view, trouble),
    )


def draw_pet(breed: str, number: int, seed: int) -> bytes:
    """Draw picture `number` (from 1) of a breed; return the JPEG file's bytes."""
    key = picture_seed(breed, number, seed)
    scene = pet_scene(breed, np.random.default_rng(key))
    return jpeg(render(scene, key).image, QUALITY)


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
