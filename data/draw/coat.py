"""Colour of every visible point: coat patterns in the animal's own space, eyes, nose and mouth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .body import Rig
from .breeds import Breed, Coat
from .noise import cellular, fbm, smoothstep


def rgb(code: str) -> np.ndarray:
    """Turn "#rrggbb" into linear-ish floats in 0..1 (3,)."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def mix(a: np.ndarray, b: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Blend colours (N, 3) or (3,) by weights (N,)."""
    return a + (b - a) * w[:, None]


@dataclass(frozen=True)
class Surface:
    """Visible points of one animal, in the coordinates that markings need."""

    head: np.ndarray  # (N, 3) in the head's frame
    torso: np.ndarray  # (N, 3) in the torso's frame: y up, z forwards
    along: np.ndarray  # (N,) 0..1 from the root of its part to the tip
    group: np.ndarray  # (N,) names of parts
    first_of: np.ndarray  # (N,) which limb of its kind, 0..1 along a tail
    seed: int

    def is_(self, *names: str) -> np.ndarray:
        """Mask (N,) of the points on parts with these names."""
        return np.isin(self.group, names)

    @property
    def on_head(self) -> np.ndarray:
        """Mask (N,) of skull, muzzle and ears."""
        return self.is_("head", "muzzle", "ear", "eye", "nose")


def _paleness(s: Surface) -> np.ndarray:
    """Countershading: 1 under chin, chest and belly, 0 on the back."""
    chin = smoothstep(-0.12, -0.45, s.head[:, 1]) * smoothstep(0.3, 0.9, s.head[:, 2])
    under = smoothstep(0.25, -0.75, s.torso[:, 1]) * s.is_("torso", "neck")
    breast = (
        smoothstep(0.9, 1.9, s.torso[:, 2])
        * smoothstep(0.55, 0.2, np.abs(s.torso[:, 0]))
        * s.is_("torso", "neck")
    )
    paw = s.is_("leg") * smoothstep(0.5, 1, s.along) * 0.7
    return np.where(s.on_head, chin, np.maximum(np.maximum(0.8 * under, breast), paw))


def _stripes(s: Surface, rate: float = 3.4) -> np.ndarray:
    """Mackerel stripes: rings round body, legs and tail, an M on the brow, lines from the eyes."""
    wob = 0.5 * fbm(s.torso * 0.9, s.seed) + 0.25 * fbm(s.torso * 3, s.seed + 1)
    body = np.sin(2 * np.pi * (s.torso[:, 2] * rate / 3.2 + wob))
    legs = np.sin(2 * np.pi * (s.along * 2.2 + wob))
    tail = np.sin(2 * np.pi * (s.first_of * 5 + 0.4 * wob))
    x, y = np.abs(s.head[:, 0]), s.head[:, 1]
    brow = np.sin(2 * np.pi * (x * 3.6 - 0.25 * smoothstep(0.2, 0.9, y) + 0.3 * wob)) * smoothstep(
        0.2, 0.4, y
    )
    cheek = (
        np.sin(2 * np.pi * (y * 2.6 + 0.5 * x + 0.3 * wob))
        * smoothstep(0.5, 0.75, x)
        * smoothstep(0.25, 0.0, y)
    )
    wave = np.where(
        s.is_("leg"), legs, np.where(s.is_("tail"), tail, np.where(s.on_head, brow + cheek, body))
    )
    return smoothstep(0.0, 0.75, wave) * ~s.is_("ear")


def _solid(s: Surface, c: Coat) -> np.ndarray:
    shade = 0.35 + 0.35 * fbm(s.torso * 1.3, s.seed)
    return mix(rgb(c.base), rgb(c.dark), np.clip(0.5 * shade, 0, 0.4))


def _tabby(s: Surface, c: Coat) -> np.ndarray:
    back = 0.4 * smoothstep(0.5, 1.1, s.torso[:, 1]) * s.is_("torso", "neck")
    return mix(rgb(c.base), rgb(c.dark), np.clip(0.8 * _stripes(s) + back, 0, 0.9))


def _spots(s: Surface, rate: float) -> tuple[np.ndarray, np.ndarray]:
    warp = 0.12 * np.stack([fbm(s.torso * 2, s.seed + k) for k in range(3)], 1)
    return cellular((s.torso + warp) * (rate, rate, 0.75 * rate), s.seed)


def _spotted(s: Surface, c: Coat) -> np.ndarray:
    near, _ = _spots(s, 2.6)
    spots = smoothstep(0.42, 0.3, near)
    mark = np.where(s.is_("torso", "neck"), spots, _stripes(s))
    return mix(rgb(c.base), rgb(c.dark), 0.88 * mark)


def _rosette(s: Surface, c: Coat) -> np.ndarray:
    near, _ = _spots(s, 2.0)
    ring = smoothstep(0.22, 0.3, near) * smoothstep(0.5, 0.42, near)
    broken = smoothstep(-0.35, -0.05, fbm(s.torso * 4, s.seed + 5))
    mark = np.where(
        s.is_("torso", "neck"), ring * broken + 0.35 * smoothstep(0.3, 0.2, near), _stripes(s)
    )
    return mix(rgb(c.base), rgb(c.dark), np.clip(0.9 * mark, 0, 0.95))


def _point(s: Surface, c: Coat) -> np.ndarray:
    x, y, z = s.head.T
    face = smoothstep(0.95, 0.35, np.hypot(x, y + 0.12)) * smoothstep(0.2, 0.7, z)
    far = np.where(s.is_("leg"), smoothstep(0.2, 1.0, s.along) * 0.9, 0.0)
    far = np.where(s.is_("tail", "ear"), 0.95, np.where(s.on_head, 0.92 * face, far))
    return mix(rgb(c.base), rgb(c.dark), np.clip(far + 0.1 * fbm(s.torso, s.seed), 0, 1))


def _bicolour(s: Surface, c: Coat) -> np.ndarray:
    x, y, z = s.head.T
    blaze = smoothstep(0.30, 0.12, np.abs(x) - 0.3 * smoothstep(0.3, -0.5, y)) * smoothstep(
        0.2, 0.6, z
    )
    low = smoothstep(0.1, -0.15, s.torso[:, 1] + 0.5 * fbm(s.torso * 0.9, s.seed))
    white = np.where(
        s.on_head & ~s.is_("ear"),
        blaze,
        np.where(s.is_("leg"), smoothstep(0.1, 0.4, s.along), low * s.is_("torso", "neck")),
    )
    return mix(mix(rgb(c.base), rgb(c.dark), 0.6 * _stripes(s)), rgb(c.pale), white)


def _tricolour(s: Surface, c: Coat) -> np.ndarray:
    x, y, z = s.head.T
    patch = fbm(s.torso * 0.8, s.seed)
    saddle = smoothstep(0.15, 0.45, s.torso[:, 1] + 0.5 * patch) * s.is_("torso")
    white = smoothstep(0.1, -0.1, s.torso[:, 1] + 0.4 * patch) * s.is_("torso", "neck")
    blaze = smoothstep(0.22, 0.1, np.abs(x) - 0.28 * smoothstep(0.1, -0.3, y)) * smoothstep(
        0.2, 0.7, z
    )
    white = np.where(s.on_head & ~s.is_("ear"), blaze, np.maximum(white, 0.95 * s.is_("leg")))
    white = np.maximum(white, s.is_("tail") * smoothstep(0.55, 0.7, s.first_of))
    colour = mix(rgb(c.base), rgb(c.dark), np.maximum(0.95 * saddle, 0.25 * s.is_("ear")))
    return mix(colour, rgb(c.pale), white)


def _ticked(s: Surface, c: Coat) -> np.ndarray:
    patch = smoothstep(0.1, 0.2, fbm(s.torso * 0.7, s.seed))
    flecks = smoothstep(0.15, 0.45, fbm(s.torso * 7, s.seed + 3)) * 0.8
    liver = np.where(s.on_head, 1.0, np.maximum(patch * s.is_("torso"), flecks))
    return mix(rgb(c.pale), mix(rgb(c.base), rgb(c.dark), 0.5 + 0.5 * patch), liver)


def _mask(s: Surface, c: Coat) -> np.ndarray:
    x, y, z = s.head.T
    dark = smoothstep(0.75, 0.5, np.hypot(x * 0.9, (y + 0.25) * 1.1)) * smoothstep(0.5, 0.8, z)
    eyes = smoothstep(0.42, 0.25, np.hypot(np.abs(x) - 0.46, y - 0.08)) * smoothstep(0.3, 0.6, z)
    crease = (
        0.5
        * smoothstep(0.7, 1, np.sin(9 * y + 1.5 * np.cos(4 * x)))
        * smoothstep(0.2, 0.4, y)
        * smoothstep(0.4, 0.7, z)
    )
    dark = np.where(
        s.is_("ear"), 0.95, s.on_head * np.maximum(np.maximum(dark, 0.8 * eyes), crease)
    )
    return mix(_solid(s, c), rgb(c.dark), 0.95 * dark)


def _shiba(s: Surface, c: Coat) -> np.ndarray:
    """Cream cheeks, brow dots, chest and inner legs (urajiro)."""
    x, y, z = s.head.T
    cheeks = smoothstep(0.0, -0.3, y - 0.4 * (np.abs(x) - 0.4)) * smoothstep(0.1, 0.4, z)
    dots = smoothstep(0.16, 0.09, np.hypot(np.abs(x) - 0.36, y - 0.48)) * smoothstep(0.3, 0.6, z)
    top = smoothstep(0.16, 0.05, np.abs(x)) * smoothstep(0.75, 0.9, z)
    pale = np.where(
        s.on_head & ~s.is_("ear"), np.clip(np.maximum(cheeks, dots) - 0.8 * top, 0, 1), 0
    )
    return mix(_solid(s, c), rgb(c.pale), pale * c.belly)


def _black_bear(s: Surface, c: Coat) -> np.ndarray:
    muzzle = s.is_("muzzle") * smoothstep(0.75, 1.0, s.head[:, 2])
    return mix(_solid(s, c), rgb(c.pale), 0.9 * muzzle)


def _yorkie(s: Surface, c: Coat) -> np.ndarray:
    tan = np.where(
        s.on_head | s.is_("leg"),
        1.0,
        smoothstep(0.7, 1.5, s.torso[:, 2]) * smoothstep(0.2, -0.3, s.torso[:, 1]),
    )
    streak = 0.5 + 0.5 * fbm(s.torso * (3, 1, 3), s.seed)
    return mix(
        mix(rgb(c.base), rgb(c.dark), streak), rgb(c.pale) * (0.8 + 0.3 * streak[:, None]), tan
    )


def _skin(s: Surface, c: Coat) -> np.ndarray:
    wrinkle = (
        np.sin(14 * s.head[:, 1] + 3 * fbm(s.head * 2, s.seed))
        * smoothstep(0.25, 0.5, s.head[:, 1])
        * s.is_("head")
    )
    folds = np.sin(9 * s.torso[:, 2] + 4 * fbm(s.torso * 1.2, s.seed)) * s.is_("neck", "torso")
    lines = smoothstep(0.55, 1.0, wrinkle + folds)
    patch = smoothstep(0.1, 0.4, fbm(s.torso * 0.8, s.seed + 2))
    return mix(rgb(c.base), rgb(c.dark), np.clip(0.45 * lines + 0.35 * patch, 0, 0.8))


PATTERNS: dict[str, Callable[[Surface, Coat], np.ndarray]] = {
    "solid": _solid,
    "tabby": _tabby,
    "spotted": _spotted,
    "rosette": _rosette,
    "point": _point,
    "bicolour": _bicolour,
    "tricolour": _tricolour,
    "ticked": _ticked,
    "mask": _mask,
    "shiba": _shiba,
    "black_bear": _black_bear,
    "yorkie": _yorkie,
    "skin": _skin,
}


def paint(s: Surface, coat: Coat) -> np.ndarray:
    """Return the coat's colour (N, 3) in 0..1, before faces and light."""
    colour = PATTERNS[coat.pattern](s, coat)
    colour = mix(colour, rgb(coat.pale), coat.belly * _paleness(s) * 0.85)
    grain = 1 + 0.1 * fbm(s.torso * 5, s.seed + 11)
    return np.clip(colour * grain[:, None], 0.02, 1)


@dataclass(frozen=True)
class Features:
    """What the face adds: colour, where it is laid on, how glossy, and where no hair grows."""

    colour: np.ndarray  # (N, 3)
    gloss: np.ndarray  # (N,)
    bare: np.ndarray  # (N,) 0..1


def add_face(
    colour: np.ndarray,
    points: np.ndarray,
    s: Surface,
    rig: Rig,
    breed: Breed,
    coat: Coat,
    pose: object,
    eye: str,
) -> Features:
    """Paint eyes, nose, mouth and the insides of the ears onto points (N, 3) of the world."""
    colour, gloss, bare = colour.copy(), np.zeros(len(colour)), np.zeros(len(colour))
    tongue = s.is_("tongue")
    colour[tongue], gloss[tongue], bare[tongue] = rgb("#d9707c"), 0.3, 1
    _mouth(colour, s, breed, coat, pose.mouth)
    for side, word in ((1, "left"), (-1, "right")):
        rot, origin = rig.frames[f"{word}_eye"]
        near = np.linalg.norm(points - origin, axis=1) < 2.2 * breed.head.eye
        near &= s.is_("head", "muzzle", "eye")
        local = (points[near] - origin) @ rot
        layer, ball, cover = _eye(*local.T[:2], side, breed, coat, eye, pose.eyes)
        colour[near] = mix(colour[near], layer, cover)
        gloss[near] = np.maximum(gloss[near], 0.6 * ball)
        bare[near] = np.maximum(bare[near], cover)
    _nose(colour, gloss, bare, points, s, rig, breed, coat)
    return Features(np.clip(colour, 0, 1), gloss, bare)


def _eye(
    x: np.ndarray, y: np.ndarray, side: int, breed: Breed, coat: Coat, eye: str, open_: float
) -> tuple:
    """Colour, ball and cover of one eye at (x to its left, y upwards) from its centre."""
    head = breed.head
    a = np.radians(head.eye_slant) * side
    x, y = x / head.eye, y / head.eye
    u, v = x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)
    lens = np.clip(1 - u * u, 0, 1) ** 0.75
    gap = head.eye_open * max(open_, 0.06)
    # like a signed distance: below 0 inside the almond between the lids
    lid = np.maximum(np.where(v > 0, v - gap * lens, -v - 0.8 * gap * lens), np.abs(u) - 1)
    inside, rim = smoothstep(0.05, -0.05, lid), smoothstep(0.24, 0.08, lid)
    r = np.hypot(x, y)
    if head.pupil == "slit":
        size, pupil = 1.0, np.hypot(x / 0.27, y / 0.78)
    else:
        size, pupil = 0.88, r / 0.5
    streaks = 1 + 0.12 * np.sin(17 * np.arctan2(y, x)) * smoothstep(0.2, 0.6, r)
    iris = rgb(eye) * ((0.9 + 0.35 * smoothstep(0.3, -0.7, y)) * streaks)[:, None]
    iris = mix(iris, 0.35 * iris, smoothstep(size - 0.2, size, r))
    ball = mix(iris, rgb("#a89c90"), smoothstep(size - 0.03, size + 0.08, r))
    ball = mix(ball, rgb("#0b0908"), smoothstep(1.1, 0.9, pupil))
    ball = ball * (1 - 0.4 * smoothstep(0.45, 0.95, v / gap))[:, None]
    glint = smoothstep(0.22, 0.13, np.hypot(x + 0.28, y - 0.32))
    glint += 0.4 * smoothstep(0.15, 0.08, np.hypot(x - 0.3, y + 0.3))
    ball = mix(ball, np.ones(3, np.float32), np.clip(glint, 0, 1) * (open_ > 0.4))
    lids = np.broadcast_to(rgb(coat.nose) * 0.35, ball.shape)
    return mix(lids, ball, inside), inside, np.maximum(inside, 0.9 * rim)


def _nose(
    colour: np.ndarray,
    gloss: np.ndarray,
    bare: np.ndarray,
    points: np.ndarray,
    s: Surface,
    rig: Rig,
    breed: Breed,
    coat: Coat,
) -> None:
    """A painted triangle (cats) or a ball with nostrils (dogs, bears)."""
    rot, origin = rig.frames["nose"]
    x, y, z = ((points - origin) @ rot).T
    w = breed.head.nose
    if breed.head.nose_ball:
        cover = s.is_("nose").astype(float)
        hole = np.hypot((np.abs(x) - 0.5 * w) / 0.26, (y + 0.15 * w) / 0.2) / w
    else:
        shape = np.maximum(np.abs(x) - (w + 0.75 * y), y - 0.5 * w)
        cover = smoothstep(0.03, -0.02, shape) * (np.abs(z) < 0.4) * s.is_("muzzle", "head")
        hole = np.hypot((np.abs(x) - 0.55 * w) / 0.28, y / 0.25) / w
    tint = mix(
        np.broadcast_to(rgb(coat.nose), colour.shape),
        0.25 * rgb(coat.nose),
        smoothstep(1.2, 0.7, hole),
    )
    colour[:] = mix(colour, tint, cover)
    gloss[:] = np.maximum(gloss, 0.5 * cover)
    bare[:] = np.maximum(bare, cover)


def _mouth(colour: np.ndarray, s: Surface, breed: Breed, coat: Coat, mouth: float) -> None:
    """Draw the line of the lips and, with whisker pads, their rows of dots."""
    head = breed.head
    x, y, z = np.abs(s.head[:, 0]), s.head[:, 1], s.head[:, 2]
    w, y0 = head.muzzle_width, head.muzzle_y - 0.08 * head.muzzle
    front = smoothstep(0.5 + 0.5 * head.muzzle, 0.8 + 0.6 * head.muzzle, z) * s.is_(
        "muzzle", "head"
    )
    split = y0 - 0.42 * w
    smile = split - 0.3 * np.sqrt(np.clip(x, 0, 1)) * 0.55 + 0.9 * np.clip(x - 0.22, 0, 1) ** 1.2
    line = smoothstep(0.04, 0.012, np.abs(y - smile)) * (x < 1.25 * w)
    line = np.maximum(line, smoothstep(0.032, 0.01, x) * (y > split) * (y < y0 + 0.3 * w))
    colour[:] = mix(colour, 0.3 * rgb(coat.nose), 0.8 * front * line)
    if head.pads:
        grid = np.hypot((x - 0.16) % 0.09 - 0.045, (y - y0) % 0.08 - 0.04)
        dots = (
            smoothstep(0.022, 0.01, grid) * (x > 0.12) * (x < 0.36) * (np.abs(y - y0 + 0.06) < 0.12)
        )
        colour[:] = mix(colour, 0.4 * colour, 0.7 * front * dots)
