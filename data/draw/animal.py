"""Draw one animal: trace it, colour it, light it, comb its fur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .body import Rig, pose_animal
from .breeds import BREEDS, Breed
from .coat import Surface, add_face, mix, paint, rgb
from .noise import fbm, smoothstep
from .scene import Animal, Light
from .trace import Camera, Solid, look

# What a part mask tells apart; several limbs share a name.
PART_NAMES = ("head", "muzzle", "ear", "eye", "nose", "tongue", "neck", "torso", "leg", "tail")


@dataclass(frozen=True)
class Layer:
    """One thing, drawn: what the painter stacks."""

    image: np.ndarray  # (H, W, 3) in 0..1
    alpha: np.ndarray  # (H, W) in 0..1
    parts: np.ndarray  # (H, W) index into PART_NAMES, -1 outside
    keypoints: dict[str, tuple[float, float, bool]]  # pixels of the layer; hidden by itself or not
    footprint: list[tuple[float, float, float, float]]  # ellipses (x, y, rx, ry) of its shadow


@dataclass(frozen=True)
class Hit:
    """The visible points of an animal, N of them."""

    y: np.ndarray
    x: np.ndarray
    point: np.ndarray  # (3, N)
    normal: np.ndarray  # (3, N)
    part: np.ndarray  # (N,) index into the solid's parts


def draw_animal(
    animal: Animal, light: Light, width: int, height: int, rng: np.random.Generator
) -> Layer:
    """Render an animal into a frame of width x height pixels."""
    breed = BREEDS[animal.breed]
    rig = pose_animal(animal, breed)
    solid = Solid(rig.parts)
    camera = camera_for(animal, width, height)
    hit, depth = _trace(solid, camera, width, height)
    image, parts = np.zeros((height, width, 3), np.float32), np.full((height, width), -1, np.int16)
    keypoints = _keypoints(rig, camera, depth)
    feet = _footprint(rig, camera, animal, light)
    if not len(hit.x):
        return Layer(image, np.zeros((height, width), np.float32), parts, keypoints, feet)
    colour, bare = _shade(hit, solid, rig, breed, animal, light)
    image[hit.y, hit.x] = colour
    names = np.array([PART_NAMES.index(p.name) if not p.carve else -1 for p in rig.parts])
    parts[hit.y, hit.x] = names[hit.part]
    canvas = _Canvas(image, parts)
    _comb(canvas, hit, rig, breed, camera.scale, bare, rng)
    if breed.head.whiskers:
        _whiskers(canvas, rig, breed, camera, rng)
    image, alpha, parts = canvas.result()
    return Layer(image, alpha, parts, keypoints, feet)


def camera_for(animal: Animal, width: int, height: int) -> Camera:
    """Return the camera that puts the animal's anchor at its place in the frame."""
    scale = animal.scale * min(width, height) / 2
    return Camera(animal.x * width, animal.y * height, scale, 22.0)


def _trace(solid: Solid, camera: Camera, width: int, height: int) -> tuple[Hit, np.ndarray]:
    """Find the visible points; also return the depth map (H, W), -inf where there is nothing."""
    x, y, point = look(solid, camera, width, height)
    depth = np.full((height, width), -np.inf, np.float32)
    depth[y, x] = point[2]
    return Hit(y, x, point, solid.normal(point), solid.nearest(point)), depth


def _surface(hit: Hit, rig: Rig, solid: Solid, seed: int) -> Surface:
    local = solid.local(hit.point)[hit.part, 2, np.arange(len(hit.x))]
    length = np.maximum(solid.length[hit.part, 0], 1e-6)
    along = np.clip(local / length, 0, 1)
    names = np.array([p.name for p in rig.parts])
    tail = np.flatnonzero(names == "tail")
    order = np.clip((hit.part - tail[0] + along) / len(tail), 0, 1)
    rank = np.zeros(len(names))
    for i in range(1, len(names)):  # limbs of a leg follow each other: hip, knee, toe
        joined = names[i] == names[i - 1] and np.allclose(rig.parts[i].a, rig.parts[i - 1].b)
        rank[i] = rank[i - 1] + 1 if joined else 0
    leg = names[hit.part] == "leg"
    along = np.where(leg, np.clip((rank[hit.part] + along) / 2.4, 0, 1), along)
    ball = np.array([np.allclose(p.a, p.b) for p in rig.parts])
    low = np.array([np.mean([p.a[1], p.b[1]]) for p in rig.parts])
    toes = leg & ball[hit.part] & (low[hit.part] < low[names == "leg"].mean())
    along = np.where(toes, 1.0, np.where(leg & ball[hit.part], 0.2, along))
    (hr, ho), (tr, to) = rig.frames["head"], rig.frames["torso"]
    p = hit.point.T
    return Surface((p - ho) @ hr, (p - to) @ tr, along, names[hit.part], order, seed)


def _shade(hit: Hit, solid: Solid, rig: Rig, breed: Breed, animal: Animal, light: Light) -> tuple:
    """Return the lit colour (N, 3) and how bare of hair each point is (N,)."""
    rng = np.random.default_rng(animal.variant + 1)
    coat = breed.coats[int(rng.integers(len(breed.coats)))]
    eye = coat.eyes[int(rng.integers(len(coat.eyes)))]
    s = _surface(hit, rig, solid, animal.variant % 10007)
    tint = 1 + 0.07 * rng.standard_normal() + 0.015 * rng.standard_normal(3)
    colour = paint(s, coat) * tint.astype(np.float32)
    colour, hollow = _ear_skin(colour, hit, solid, coat.skin)
    face = add_face(colour, hit.point.T, s, rig, breed, coat, animal.pose, eye)
    bump = (0.35 if breed.fur.body else 0.1) * (1 - face.bare)
    lit = illuminate(face.colour, hit, solid, light, bump, face.gloss, animal.variant % 9973)
    return lit, np.maximum(face.bare, 0.7 * hollow)


def _ear_skin(colour: np.ndarray, hit: Hit, solid: Solid, skin: str) -> tuple:
    """Show skin where a hollow was cut into an ear; return the colour and the cover (N,)."""
    hollows = [i for i, p in enumerate(solid.parts) if p.carve]
    if not hollows:
        return colour, np.zeros(len(hit.x))
    d = np.min(solid.each(hit.point)[hollows], 0)
    ears = np.array([p.name == "ear" for p in solid.parts])[hit.part]
    cover = smoothstep(0.07, 0.0, d) * ears
    inner = 0.55 * rgb(skin) + 0.45 * colour
    return mix(colour, inner, 0.8 * cover), cover


def light_direction(light: Light) -> np.ndarray:
    """Return the unit vector (3,) towards the key light."""
    a, e = np.radians([light.azimuth, light.elevation])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def illuminate(
    colour: np.ndarray,
    hit: Hit,
    solid: Solid,
    light: Light,
    bump: np.ndarray,
    gloss: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Light points (N, 3): wrapped diffuse, sky and bounce, occlusion, soft shadow, highlight."""
    n, p = hit.normal, hit.point
    rough = np.stack([fbm(p.T * 3.1, seed + k, 2) for k in range(3)]) * bump
    n = n + rough * 0.5
    n /= np.linalg.norm(n, axis=0)
    to_light = light_direction(light)
    occlusion = np.ones(len(hit.x), np.float32)
    for step in (0.12, 0.4):
        occlusion -= 0.45 * np.clip(1 - solid.distance(p + hit.normal * step) / step, 0, 1)
    shadow = np.ones(len(hit.x), np.float32)
    for step in (0.25, 0.6, 1.1, 1.8):
        d = solid.distance(p + hit.normal * 0.06 + to_light[:, None] * step)
        shadow = np.minimum(shadow, np.clip(0.5 + 2.2 * d / step, 0, 1))
    lambert = np.clip((to_light @ n + 0.35) / 1.35, 0, 1) * (0.25 + 0.75 * shadow)
    sky = 0.72 + 0.28 * n[1]
    key = light.contrast * 1.2 * lambert
    fill = (0.95 - 0.6 * light.contrast) * sky * np.clip(occlusion, 0.25, 1)
    out = colour * (key[:, None] * np.array(light.colour) + fill[:, None] * np.array(light.ambient))
    rim = 0.12 * smoothstep(0.55, 0.05, n[2]) * np.clip(n[1] + 0.4, 0, 1)
    half = np.add(to_light, (0, 0, 1))
    shine = np.clip(half / np.linalg.norm(half) @ n, 0, 1) ** 40 * gloss * 0.5 * shadow
    out += (rim[:, None] * (0.5 * colour + 0.2) + shine[:, None]) * np.array(light.colour)
    return np.clip(out * light.exposure, 0, 1).astype(np.float32)


class _Canvas:
    """The animal as images that strokes can be drawn on."""

    def __init__(self, image: np.ndarray, parts: np.ndarray):
        covered = parts >= 0
        rgba = np.dstack([image * 255, covered * 255]).astype(np.uint8)
        self.colour = Image.fromarray(rgba, "RGBA")
        self.index = Image.fromarray((parts + 1).astype(np.uint8))
        self.pen, self.marker = ImageDraw.Draw(self.colour), ImageDraw.Draw(self.index)
        self.size = self.colour.size

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return colour (H, W, 3), alpha (H, W) and part index (H, W)."""
        rgba = np.asarray(self.colour, np.float32) / 255
        return rgba[..., :3], rgba[..., 3], np.asarray(self.index, np.int16) - 1


def _combing(hit: Hit, rig: Rig) -> np.ndarray:
    """Directions (3, N) the hair lies in: back from the nose, along limbs, a little down."""
    axes = np.stack([p.frame[:, 2] for p in rig.parts])[hit.part].T
    names = np.array([p.name for p in rig.parts])[hit.part]
    rot, origin = rig.frames["head"]
    nose = origin + rot @ np.array([0, -0.1, 1.3])
    away = hit.point - nose[:, None]
    away /= np.linalg.norm(away, axis=0)
    flow = np.where(np.isin(names, ("head", "muzzle")), away, axes)
    flow = flow + np.array([0, -0.3, 0])[:, None]
    flow -= hit.normal * (flow * hit.normal).sum(0)
    return flow


def _lengths(hit: Hit, rig: Rig, breed: Breed) -> np.ndarray:
    """Length of hair (N,) in head radii."""
    f = breed.fur
    by_name = {
        "head": f.face,
        "muzzle": 0.6 * f.face,
        "ear": f.ears,
        "neck": f.ruff,
        "torso": f.body,
        "leg": 0.45 * f.body + 0.02,
        "tail": f.tail,
    }
    length = np.array([by_name.get(p.name, 0.0) for p in rig.parts])[hit.part]
    rot, origin = rig.frames["head"]
    head = (hit.point.T - origin) @ rot
    names = np.array([p.name for p in rig.parts])[hit.part]
    cheek = smoothstep(0.35, -0.3, head[:, 2] - 0.35 * np.abs(head[:, 0])) * smoothstep(
        0.5, -0.1, head[:, 1]
    )
    return np.where(
        names == "head", length + (f.ruff - length) * np.clip(cheek, 0, 1) * 0.8, length
    )


def _comb(
    canvas: _Canvas,
    hit: Hit,
    rig: Rig,
    breed: Breed,
    scale: float,
    bare: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Draw hairs: each takes its colour from the lit skin at its root."""
    length = _lengths(hit, rig, breed)
    if not length.max() > 0:
        return
    edge = smoothstep(0.55, 0.1, hit.normal[2])
    weight = (1 + 2.5 * edge) * (length > 0) * (bare < 0.3)
    count = min(int(len(hit.x) / 5) + 400, 16000)
    root = rng.choice(len(hit.x), count, p=weight / weight.sum())
    place = hit.point.T[root]
    wave = breed.fur.wave * (0.5 * rng.standard_normal(count) + 1.2 * fbm(place * 1.7, 5, 2))
    step = _lean(hit, rig, length)[:, root]
    angle = np.arctan2(step[1], step[0]) + wave
    long = length[root] * scale * rng.uniform(0.6, 1.35, count) + 1.0
    reach = long * np.clip(np.hypot(*step) + 0.25, 0.3, 1.1)
    along = np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None]
    at = np.stack([hit.x[root], hit.y[root]], 1) + rng.random((count, 2))
    tone = 1 + 0.1 * rng.standard_normal(count) + 0.12 * fbm(place * 4, 3, 2)
    under = np.asarray(canvas.colour, np.float32)[hit.y[root], hit.x[root], :3]
    colours = np.clip(under * tone[:, None], 0, 255).astype(int)
    label = np.asarray(canvas.index)[hit.y[root], hit.x[root]]
    keep = ~(
        _over_bare(canvas, hit, bare, at + along) | _over_bare(canvas, hit, bare, at + along / 2)
    )
    hairs = _outlines(at, along, long)
    for i in np.flatnonzero(keep):
        hair = hairs[i].tolist()
        canvas.pen.polygon(hair, fill=(*colours[i].tolist(), 255))
        if edge[root[i]] > 0.4:
            canvas.marker.polygon(hair, fill=int(label[i]))


def _lean(hit: Hit, rig: Rig, length: np.ndarray) -> np.ndarray:
    """Direction hair leans on the screen (2, N): as combed, and outwards near the outline."""
    lift = 0.1 + np.minimum(0.9, 0.2 + length) * smoothstep(0.5, 0.0, hit.normal[2])
    return (_combing(hit, rig) + hit.normal * lift)[:2] * np.array([[1], [-1]])


def _over_bare(canvas: _Canvas, hit: Hit, bare: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Mask (N,) of the screen points (N, 2) that lie on an eye, a nose, a tongue."""
    width, height = canvas.size
    map_ = np.zeros((height, width), bool)
    map_[hit.y, hit.x] = bare > 0.3
    x, y = np.clip(xy.astype(int), 0, (width - 1, height - 1)).T
    return map_[y, x]


def _outlines(at: np.ndarray, along: np.ndarray, long: np.ndarray) -> np.ndarray:
    """Polygons (N, 10) of hairs that taper from root to tip and sag a little."""
    half = np.clip(0.03 * long + 0.5, 0.6, 1.3) / (np.hypot(*along.T) + 1e-6)
    side = np.stack([-along[:, 1], along[:, 0]], 1) * half[:, None]
    sag = np.stack([0 * long, 0.12 * long], 1)
    waist, tip = at + 0.6 * along + 0.2 * sag, at + along + sag
    corners = (at + side, waist + 0.7 * side, tip, waist - 0.7 * side, at - side)
    return np.concatenate(corners, 1)


def _whiskers(
    canvas: _Canvas, rig: Rig, breed: Breed, camera: Camera, rng: np.random.Generator
) -> None:
    """Draw whiskers as curves from the pads, where the pads face the viewer."""
    rot, nose = rig.frames["nose"]
    bend = np.linspace(0, 1, 9)[:, None]
    for side in (1, -1):
        facing = (rot @ np.array([side * 0.8, 0, 1.0]))[2]
        if facing < 0.1:
            continue
        for k in range(6):
            start = nose + rot @ np.array([side * 0.17, -0.12 - 0.03 * (k % 3), -0.1])
            out = rot @ np.array([side, 0.35 * (k / 5 - 0.45) + 0.06 * rng.standard_normal(), 0.25])
            curve = start + out * bend * rng.uniform(1.0, 1.5) + np.array([0, -0.32, 0]) * bend**2
            xy = camera.project(curve.T).T
            shade = int(rng.uniform(205, 250))
            canvas.pen.line([tuple(p) for p in xy], fill=(shade, shade, shade, 150), width=1)


def _keypoints(rig: Rig, camera: Camera, depth: np.ndarray) -> dict[str, tuple[float, float, bool]]:
    """Project the rig's points; visible when nothing of the animal itself is in front."""
    found = {}
    height, width = depth.shape
    for name, p in rig.points.items():
        x, y = (float(v) for v in camera.project(p[:, None])[:, 0])
        inside = 0 <= x < width and 0 <= y < height
        near = inside and abs(depth[int(y), int(x)] - p[2]) < 0.3
        found[name] = (x, y, bool(near))
    return found


def _footprint(
    rig: Rig, camera: Camera, animal: Animal, light: Light
) -> list[tuple[float, float, float, float]]:
    """Ellipses on the ground under each part, pushed away from the light."""
    if animal.anchor == "head":
        return []
    tilt = np.radians(animal.elevation)
    up = np.array([0, np.cos(tilt), np.sin(tilt)])
    push = light_direction(light) * (1, 0, 1) / max(np.tan(np.radians(light.elevation)), 0.6)
    feet = []
    for part in rig.parts:
        if part.carve or part.name in ("ear", "eye", "nose", "tongue"):
            continue
        mid = (part.a + part.b) / 2
        h = mid @ up
        ground = mid - up * h - push * h * 0.6
        x, y = camera.project(ground[:, None])[:, 0]
        r = (
            max(part.ra, part.rb) * max(part.stretch) + 0.3 * np.linalg.norm(part.b - part.a)
        ) * camera.scale
        feet.append((float(x), float(y), float(r), float(r * max(np.sin(tilt), 0.18))))
    return feet
