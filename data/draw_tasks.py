"""Draw the sample sets of chapter 07: scenes with masks, noses, several labels, ratings.

    python data/draw_tasks.py --out data
    python data/draw_tasks.py --sheet sheet.png --out /tmp/tasks

Four folders appear in OUT, each in the layout of its public counterpart: `camvid`, scenes with
the class of every pixel; `noses`, bears and where their noses are; `planet`, pictures with any
number of labels; and `ml`, ratings made up from known tastes, which `ml/tastes.csv` lists. The
same seed gives the same files, byte for byte.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from draw import BREEDS, Animal, Occluder, Pose, Rendering, Scene, render
from draw.photograph import (
    FRAMING,
    head_in_frame,
    in_front,
    jpeg,
    light,
    place,
)
from draw.place import REGIONS, draw_occluder
from draw.sets import picture_key, run, save, write_table
from PIL import Image

SPECIES = {
    kind: tuple(n for n, b in BREEDS.items() if b.species == kind and n not in ("teddy", "Sphynx"))
    for kind in ("bear", "cat", "dog")
}
OUTSIDE = ("meadow", "street", "forest", "riverside")
INSIDE = ("room", "sofa")
SCENES, NOSES, LABELLED = 100, 160, 260  # pictures of each set
QUALITY = 82

# --- scenes with masks ----------------------------------------------------------------------

VOID = "Void"  # pixels that belong to no class: what stands in front, and the animals' outlines
CODES = tuple(sorted({*(name.capitalize() for name in (*SPECIES, *REGIONS)), VOID}))
SCENE_SIZE = (128, 96)
COLOURS = 128  # in a scene: half of the bytes, and hardly to be seen


def _standing(kind: str, x: float, scale: float, rng: np.random.Generator) -> Animal:
    """An animal of this species with its feet at `x`, turned anywhere but away."""
    breed = str(rng.choice(SPECIES[kind]))
    stance = str(rng.choice(["sit", "stand", "lie"]))
    yaw = float(rng.uniform(-70, 70))
    pose = Pose(stance, yaw, -0.6 * yaw + rng.normal(0, 20), rng.normal(2, 7), rng.normal(0, 9))
    scale *= 0.72 if BREEDS[breed].body.girth > 1.5 else 1.0
    y, above = rng.uniform(0.82, 0.97), rng.uniform(4, 22)
    return Animal(breed, pose, x, y, scale, "feet", above, int(rng.integers(1 << 30)))


def _company(kinds: list[str], size: tuple[int, int], rng: np.random.Generator) -> list[Animal]:
    """One animal for each of `kinds`, side by side, the farther ones first."""
    left, step = (0.5, 0.0) if len(kinds) == 1 else (0.28, 0.46)
    scale = 0.34 if len(kinds) == 1 else 0.24
    animals = [
        _standing(kind, left + step * i + rng.normal(0, 0.06), scale * rng.uniform(0.7, 1.15), rng)
        for i, kind in enumerate(kinds)
    ]
    return sorted((head_in_frame(animal, size) for animal in animals), key=lambda a: a.y)


def scene_with_mask(number: int, seed: int) -> tuple[Scene, Rendering]:
    """Scene `number` (from 1): one or two animals somewhere, now and then behind something."""
    key = picture_key(f"camvid/{number}/{seed}")
    rng = np.random.default_rng(key)
    kinds = list(rng.choice(list(SPECIES), size=1 + int(rng.random() < 0.4), replace=False))
    animals = _company(kinds, SCENE_SIZE, rng)
    scene = Scene(
        size=SCENE_SIZE,
        background=place("whole", rng, OUTSIDE if rng.random() < 0.7 else INSIDE),
        light=light(rng.random() < 0.08, rng),
        animals=tuple(animals),
        occluders=in_front(animals[-1], rng) if rng.random() < 0.25 else (),
        defocus=rng.uniform(0, 0.3),
        grain=0.0,
    )
    return scene, render(scene, key)


def class_mask(drawn: Rendering, scene: Scene) -> np.ndarray:
    """The class of every pixel (H, W), as an index into CODES."""
    region = [CODES.index(name.capitalize()) for name in REGIONS]
    void = CODES.index(VOID)
    lookup = np.array(region + [void] * (len(drawn.names) - len(region)), np.uint8)
    mask = lookup[drawn.parts]
    for i, animal in enumerate(scene.animals, start=1):
        mask[drawn.objects == i] = CODES.index(BREEDS[animal.breed].species.capitalize())
    mask[_outlines(drawn.objects)] = void
    return mask


def _outlines(objects: np.ndarray) -> np.ndarray:
    """The last pixel of one object before the next, (H, W): half of it belongs to either."""
    edge = np.zeros(objects.shape, bool)
    edge[:, :-1] |= objects[:, :-1] != objects[:, 1:]
    edge[:-1] |= objects[:-1] != objects[1:]
    return edge


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def draw_scene(number: int, seed: int) -> dict[str, bytes]:
    """The files of a scene: its picture and its mask."""
    scene, drawn = scene_with_mask(number, seed)
    picture = Image.fromarray(drawn.image).quantize(COLOURS).convert("RGB")
    mask = Image.fromarray(class_mask(drawn, scene))
    stem = f"scene_{number:03}"
    return {f"images/{stem}.png": _png(picture), f"labels/{stem}_P.png": _png(mask)}


# --- noses ----------------------------------------------------------------------------------

NOSE_SIZES = ((128, 96), (112, 112), (96, 128))


def _nose_scene(rng: np.random.Generator) -> Scene:
    size = NOSE_SIZES[int(rng.integers(len(NOSE_SIZES)))]
    view = str(rng.choice(["head", "whole"], p=[0.45, 0.55]))
    animal = FRAMING[view]("grizzly", int(rng.integers(1 << 30)), rng)
    # Anywhere in the picture, so that guessing the middle is a bad guess.
    moved = replace(animal, x=animal.x + rng.uniform(-0.22, 0.22), scale=animal.scale * 0.85)
    kinds = ("meadow", "forest", "riverside", "enclosure")
    return Scene(
        size=size,
        background=place(view, rng, kinds),
        light=light(rng.random() < 0.06, rng),
        animals=(head_in_frame(moved, size),),
        defocus=rng.uniform(0, 0.4),
        grain=rng.uniform(0.002, 0.008),
    )


def draw_nose(number: int, seed: int) -> tuple[bytes, tuple[float, float]]:
    """Picture `number` (from 1) of a bear, as JPEG, and where its nose is: x, y in pixels.

    Drawn anew, with other dice, until the nose can be seen.
    """
    for attempt in range(20):
        key = picture_key(f"noses/{number}/{attempt}/{seed}")
        scene = _nose_scene(np.random.default_rng(key))
        drawn = render(scene, key)
        x, y, visible = drawn.keypoints[0]["nose"]
        if visible:
            return jpeg(drawn.image, QUALITY), (round(x, 1), round(y, 1))
    raise RuntimeError(f"No nose to be seen in picture {number} of seed {seed}.")


# --- several labels -------------------------------------------------------------------------

THINGS = ("box", "chair", "fence", "plant")
LABEL_SIZE = (112, 96)
SEEN = 0.02  # a thing that covers less of the picture than this share is no label of it


def _thing(kind: str, rng: np.random.Generator) -> Occluder:
    y = {"plant": 0.9, "fence": 0.86, "box": 0.8}.get(kind, rng.uniform(0.78, 0.92))
    size = {"fence": 0.3, "chair": 0.4}.get(kind, 0.45) * rng.uniform(0.8, 1.1)
    return Occluder(kind, rng.uniform(0.12, 0.88), y, size, int(rng.integers(1 << 30)))


def _labelled_scene(rng: np.random.Generator) -> Scene:
    number = int(rng.choice([0, 1, 2], p=[0.3, 0.5, 0.2]))
    kinds = list(rng.choice(list(SPECIES), size=number, replace=False))
    number = int(rng.choice([0, 1, 2], p=[0.4, 0.45, 0.15]))
    things = list(rng.choice(THINGS, size=number, replace=False))
    return Scene(
        size=LABEL_SIZE,
        background=place("whole", rng, (*OUTSIDE, *INSIDE)),
        light=light(rng.random() < 0.08, rng),
        animals=tuple(_company(kinds, LABEL_SIZE, rng)),
        occluders=tuple(_thing(str(kind), rng) for kind in things),
        defocus=rng.uniform(0, 0.3),
        grain=rng.uniform(0.002, 0.008),
    )


def _tags(scene: Scene, drawn: Rendering) -> list[str]:
    """What can be seen in the picture, in alphabetical order."""
    pixels = {
        BREEDS[animal.breed].species: (drawn.objects == i).sum()
        for i, animal in enumerate(scene.animals, start=1)
    }
    top = np.zeros(drawn.objects.shape, int)
    for i, thing in enumerate(scene.occluders, start=1):
        top[draw_occluder(thing, *scene.size)[..., 3] > 0.5] = i
    pixels |= {thing.kind: (top == i).sum() for i, thing in enumerate(scene.occluders, start=1)}
    return sorted(name for name, n in pixels.items() if n >= SEEN * top.size)


def draw_labelled(number: int, seed: int) -> tuple[bytes, list[str]]:
    """Picture `number` (from 1) as JPEG, and its labels: any number of them, or none."""
    key = picture_key(f"planet/{number}/{seed}")
    scene = _labelled_scene(np.random.default_rng(key))
    drawn = render(scene, key)
    return jpeg(drawn.image, QUALITY), _tags(scene, drawn)


# --- ratings --------------------------------------------------------------------------------

USERS, FILMS, RATINGS = 120, 90, 5400
TASTES = ("action", "comedy")
NOISE = 0.5  # how far the same person's rating of the same film strays, in stars
EPOCH = 1_000_000_000  # seconds: the first of the made-up times, in September 2001


def make_ratings(seed: int) -> tuple[list[tuple], list[tuple]]:
    """Rows of `ratings.csv`, and of `tastes.csv`, from which they were made.

    A rating is 3.3 stars, plus how generous the person is, plus how good the film is, plus, for
    each taste, how much of it the film has times how much the person likes it, plus chance;
    then rounded to half stars from 0.5 to 5. People tend to see what they will like.
    """
    rng = np.random.default_rng(picture_key(f"ml/{seed}"))
    person, film = rng.normal(0, 0.35, USERS), rng.normal(0, 0.5, FILMS)
    likes, has = rng.normal(0, 0.65, (USERS, 2)), rng.normal(0, 0.65, (FILMS, 2))
    true = 3.3 + person[:, None] + film + likes @ has.T
    chance = np.exp(0.8 * true).ravel()
    seen = rng.choice(true.size, RATINGS, replace=False, p=chance / chance.sum())
    users, films = np.divmod(seen, FILMS)
    stars = true[users, films] + rng.normal(0, NOISE, RATINGS)
    stars = np.clip(np.round(2 * stars) / 2, 0.5, 5)
    names = {
        "user": np.sort(rng.choice(np.arange(1, 700), USERS, replace=False)),
        "film": np.sort(rng.choice(np.arange(1, 3000), FILMS, replace=False)),
    }
    times = EPOCH + np.sort(rng.integers(0, 300_000_000, RATINGS))
    ratings = [
        (int(names["user"][u]), int(names["film"][f]), float(s), int(t))
        for u, f, s, t in zip(users, films, stars, times, strict=True)
    ]
    truth = [
        (kind, int(names[kind][i]), round(float(bias[i]), 3), *(round(float(n), 3) for n in own[i]))
        for kind, bias, own in (("film", film, has), ("user", person, likes))
        for i in range(len(bias))
    ]
    return ratings, truth


# --- all of them ----------------------------------------------------------------------------


def _draw(pool: ProcessPoolExecutor, function: Callable, count: int, seed: int) -> list:
    return list(pool.map(function, range(1, count + 1), [seed] * count, chunksize=8))


def draw_sets(out: Path, seed: int, processes: int | None = None) -> list[Path]:
    """Draw all four sets into `out`; the files."""
    with ProcessPoolExecutor(processes) as pool:
        scenes = _draw(pool, draw_scene, SCENES, seed)
        noses = _draw(pool, draw_nose, NOSES, seed)
        labelled = _draw(pool, draw_labelled, LABELLED, seed)
    paths = [save(out / "camvid" / name, b) for files in scenes for name, b in files.items()]
    paths.append(save(out / "camvid" / "codes.txt", ("\n".join(CODES) + "\n").encode()))
    rows = []
    for number, (data, (x, y)) in enumerate(noses, start=1):
        name = f"bear_{number:03}.jpg"
        paths.append(save(out / "noses" / "images" / name, data))
        rows.append((name, x, y))
    paths.append(write_table(out / "noses" / "noses.csv", ("file", "x", "y"), rows))
    rows = []
    for number, (data, tags) in enumerate(labelled, start=1):
        paths.append(save(out / "planet" / "train" / f"train_{number:03}.jpg", data))
        rows.append((f"train_{number:03}", " ".join(tags)))
    paths.append(write_table(out / "planet" / "labels.csv", ("image_name", "tags"), rows))
    ratings, truth = make_ratings(seed)
    header = ("userId", "movieId", "rating", "timestamp")
    paths.append(write_table(out / "ml" / "ratings.csv", header, ratings))
    header = ("kind", "id", "bias", *TASTES)
    paths.append(write_table(out / "ml" / "tastes.csv", header, truth))
    return paths


def _on_sheet(path: Path) -> bool:
    return path.suffix in (".jpg", ".png") and path.parent.name != "labels"


if __name__ == "__main__":
    run(__doc__, draw_sets, _on_sheet)
