"""How an animal is photographed: close or far, in which light, with what in front of it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .animal import camera_for
from .body import pose_animal
from .breeds import BREEDS
from .scene import Animal, Background, Light, Occluder, Pose

SIZES = ((200, 150), (200, 160), (200, 200), (160, 200), (150, 200), (200, 133), (192, 176))


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


def _room(breed: str, stance: str) -> float:
    return ROOM[stance] * (0.72 if BREEDS[breed].body.girth > 1.5 else 1.0)


def _head(breed: str, variant: int, rng: np.random.Generator) -> Animal:
    pose = _pose(breed, rng, rng.normal(0, 28), 14, ("sit", "sit", "lie"))
    x, y = rng.normal(0.5, 0.1), rng.normal(0.52, 0.08)
    return Animal(breed, pose, x, y, rng.uniform(0.44, 0.7), "head", rng.uniform(-4, 25), variant)


def _whole(breed: str, variant: int, rng: np.random.Generator) -> Animal:
    pose = _pose(breed, rng, rng.normal(0, 40), 14, ("sit", "stand", "lie"))
    x, y, scale = rng.normal(0.5, 0.08), rng.uniform(0.88, 0.99), rng.uniform(0.31, 0.41)
    scale *= _room(breed, pose.stance)
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
    scale *= _room(breed, pose.stance)
    return Animal(breed, pose, x, y, scale, "feet", rng.uniform(2, 30), variant)


FRAMING = {"head": _head, "whole": _whole, "far": _far, "back": _back}


def head_in_frame(animal: Animal, size: tuple[int, int], margin: float = 0.16) -> Animal:
    """Shift the animal so that the middle of its head is not cut off: people must see which."""
    _, head = pose_animal(animal, BREEDS[animal.breed]).frames["head"]
    x, y = camera_for(animal, *size).project(head[:, None])[:, 0] / size
    dx, dy = np.clip((x, y), margin, 1 - margin) - (x, y)
    return replace(animal, x=float(animal.x + dx), y=float(animal.y + dy))


def place(view: str, rng: np.random.Generator, kinds: tuple[str, ...]) -> Background:
    """Choose one of `kinds`; close to the animal the camera sees it out of focus."""
    soft = rng.uniform(1.5, 5) if view == "head" else rng.uniform(0.3, 2.5)
    kind = str(rng.choice(kinds))
    return Background(kind, rng.uniform(0.3, 0.6), soft, int(rng.integers(1 << 30)))


def light(dim: bool, rng: np.random.Generator) -> Light:
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


def in_front(animal: Animal, rng: np.random.Generator) -> tuple[Occluder, ...]:
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


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """The picture (H, W, 3) as the bytes of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
