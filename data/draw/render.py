"""Put a scene together: place, shadows, animals, things in front, camera and condition."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .animal import PART_NAMES, Layer, draw_animal
from .place import REGIONS, blur, draw_occluder, paint_place
from .scene import Occluder, Scene

SUPERSAMPLE = 2
NAMES = (*REGIONS, "occluder", *PART_NAMES)  # what the values of Rendering.parts mean


@dataclass(frozen=True)
class Rendering:
    """A picture and everything that is known about it."""

    image: np.ndarray  # (H, W, 3) uint8
    parts: np.ndarray  # (H, W) uint8, index into `names`
    objects: np.ndarray  # (H, W) uint8, 0 for the place, 1 + index of the animal otherwise
    keypoints: dict[int, dict[str, tuple[float, float, bool]]]  # animal: name: x, y, visible
    names: tuple[str, ...] = NAMES


def render(scene: Scene, seed: int = 0) -> Rendering:
    """Draw the scene. The seed drives hairs, flakes and grain; everything else is in the scene."""
    scene = _staged(scene)
    rng = np.random.default_rng(seed)
    width, height = (SUPERSAMPLE * n for n in scene.size)
    place = replace(scene.background, blur=scene.background.blur * SUPERSAMPLE)
    image, regions = paint_place(place, width, height)
    image = _whiten(image, regions) if scene.condition == "snow" else image
    image *= _ambience(scene)
    parts, objects = regions.copy(), np.zeros((height, width), np.int16)
    layers = [draw_animal(a, scene.light, width, height, rng) for a in scene.animals]
    for i, layer in enumerate(layers):
        image = _stack(image, layer)
        inside = layer.parts >= 0
        parts[inside] = layer.parts[inside] + NAMES.index(PART_NAMES[0])
        objects[inside] = i + 1
    for thing in scene.occluders:
        rgba = draw_occluder(thing, width, height)
        image += (rgba[..., :3] * _ambience(scene) - image) * rgba[..., 3:]
        parts[rgba[..., 3] > 0.5] = NAMES.index("occluder")
        objects[rgba[..., 3] > 0.5] = 0
    small = _shrink(np.clip(image, 0, 1), scene.size)
    parts, objects = (
        m[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE]
        for m in (parts, objects)
    )
    small = CONDITION.get(scene.condition, lambda im, *_: im)(small, parts, rng)
    points = {i: _visible(layer, objects, i) for i, layer in enumerate(layers)}
    return Rendering(
        _expose(small, scene, rng), parts.astype(np.uint8), objects.astype(np.uint8), points
    )


def _staged(scene: Scene) -> Scene:
    """Apply the conditions that change what is in the scene rather than how it looks."""
    if scene.condition == "far_away":
        animals = tuple(
            replace(a, scale=0.3 * a.scale, x=0.5 + 0.6 * (a.x - 0.5), y=0.45 + 0.45 * (a.y - 0.3))
            for a in scene.animals
        )
        return replace(scene, animals=animals)
    if scene.condition == "behind_tree":
        tree = Occluder(
            "tree",
            0.5 + 0.25 * (scene.background.variant % 100 / 100 - 0.5),
            0.9,
            0.5,
            scene.background.variant,
        )
        return replace(scene, occluders=(*scene.occluders, tree))
    return scene


def _ambience(scene: Scene) -> np.ndarray:
    """How the light tints and dims the place."""
    light = scene.light
    colour = light.contrast * np.array(light.colour) + (1 - light.contrast) * np.array(
        light.ambient
    )
    return (colour * light.exposure).astype(np.float32)


def _stack(image: np.ndarray, layer: Layer) -> np.ndarray:
    """Lay a layer and its soft shadow over the image."""
    height, width = layer.alpha.shape
    if layer.footprint:
        shade = Image.new("L", (width, height))
        pen = ImageDraw.Draw(shade)
        for x, y, rx, ry in layer.footprint:
            pen.ellipse([x - rx, y - ry, x + rx, y + ry], fill=255)
        spread = max(float(np.mean([f[2] for f in layer.footprint])) * 0.3, 1.5)
        dark = np.asarray(shade.filter(ImageFilter.GaussianBlur(spread)), np.float32) / 255
        image = image * (1 - 0.5 * dark[..., None])
    return image + (layer.image - image) * layer.alpha[..., None]


def _shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average the supersampled image down to size."""
    width, height = size
    return image.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, 3).mean((1, 3))


def _visible(layer: Layer, objects: np.ndarray, index: int) -> dict[str, tuple[float, float, bool]]:
    """Scale key points to the picture and hide those that something else covers."""
    found = {}
    for name, (x, y, shown) in layer.keypoints.items():
        x, y = x / SUPERSAMPLE, y / SUPERSAMPLE
        found[name] = (x, y, bool(shown and objects[int(y), int(x)] == index + 1))
    return found


def _expose(image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Lens and sensor: defocus, grain, 8 bits."""
    image = blur(image.astype(np.float32), scene.defocus)
    grain = rng.standard_normal((*image.shape[:2], 1)) * scene.grain
    return (np.clip(image + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def _whiten(image: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Lay snow on ground and plants."""
    snowy = np.isin(regions, [REGIONS.index("ground"), REGIONS.index("plants")])
    grey = image.mean(-1, keepdims=True)
    return np.where(snowy[..., None], 0.78 + 0.22 * grey * np.array([0.95, 0.98, 1.0]), image)


def _night(image: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grey = image.mean(-1, keepdims=True)
    dim = (0.45 * image + 0.55 * grey) ** 1.25 * np.array([0.42, 0.52, 0.78])
    return dim + rng.standard_normal(image.shape) * 0.015


def _snow(image: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = parts.shape
    flakes = Image.new("L", (width * 2, height * 2))
    pen = ImageDraw.Draw(flakes)
    for x, y, r in rng.random((int(width * height / 90), 3)) * (width * 2, height * 2, 3):
        pen.ellipse([x - r, y - r, x + r, y + r], fill=int(rng.integers(120, 256)))
    cover = np.asarray(flakes.resize((width, height), Image.BOX), np.float32)[..., None] / 255
    pale = image * 0.85 + 0.1
    return pale + (1 - pale) * cover * 0.9


def _black_and_white(image: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grey = image @ np.array([0.3, 0.59, 0.11])
    return np.repeat(np.clip(0.5 + 1.15 * (grey - 0.5), 0, 1)[..., None], 3, -1)


def _cartoon(image: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flat tones, strong colour, ink where the parts meet."""
    soft = blur(image.astype(np.float32), 1.2)
    value = soft.max(-1, keepdims=True) + 1e-6
    flat = soft / value * (np.round(value * 5) / 5)
    flat = np.clip(flat.mean(-1, keepdims=True) + 1.5 * (flat - flat.mean(-1, keepdims=True)), 0, 1)
    ink = np.zeros(parts.shape, np.float32)
    ink[:, 1:] += parts[:, 1:] != parts[:, :-1]
    ink[1:] += parts[1:] != parts[:-1]
    return flat * (1 - 0.9 * np.clip(blur(ink, 0.5) * 1.3, 0, 1))[..., None]


CONDITION = {
    "night": _night,
    "snow": _snow,
    "black_and_white": _black_and_white,
    "cartoon": _cartoon,
}
