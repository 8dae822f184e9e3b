"""Places: what is behind the animals and what is in front of them."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .noise import fbm, smoothstep
from .scene import Background, Occluder

REGIONS = ("sky", "wall", "ground", "plants", "furniture")
Array = np.ndarray


def hsv(h: float, s: float, v: float) -> Array:
    """Turn hue, saturation, value in 0..1 into a colour (3,)."""
    return np.array(colorsys.hsv_to_rgb(h % 1, s, v), np.float32)


def blur(image: Array, radius: float) -> Array:
    """Gaussian blur of an image (H, W, 3) or (H, W) in 0..1, radius in pixels."""
    if radius <= 0:
        return image
    picture = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


class Ground:
    """Pixel grids of a frame: x, y in 0..1, and depth-foreshortened floor coordinates."""

    def __init__(self, width: int, height: int, horizon: float):
        """Set up grids of shape (height, width)."""
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        self.x, self.y = x / width, y / height
        self.aspect = width / height
        self.below = self.y > horizon
        away = 1 / np.maximum(self.y - horizon + 0.08, 0.04)
        self.floor = np.dstack([(self.x - 0.5) * away * self.aspect, away])
        self.shape = (height, width)

    def noise(self, fx: float, fy: float, seed: int, octaves: int = 3) -> Array:
        """Noise over the frame at fx, fy cycles per height."""
        return fbm(np.dstack([self.x * fx * self.aspect, self.y * fy]), seed, octaves)


def _shade(colour: Array, amount: Array) -> Array:
    return colour * (1 + amount[..., None])


def _lay(image: Array, regions: Array, mask: Array, colour: Array, region: str) -> None:
    image[mask] = colour[mask] if colour.ndim == 3 else colour
    regions[mask] = REGIONS.index(region)


def paint_place(place: Background, width: int, height: int) -> tuple[Array, Array]:
    """Return the background (H, W, 3) in 0..1 and its regions (H, W), indices into REGIONS."""
    rng = np.random.default_rng(place.variant)
    grid = Ground(width, height, place.horizon)
    image = np.zeros((height, width, 3), np.float32)
    regions = np.zeros((height, width), np.int16)
    PLACES[place.kind](image, regions, grid, rng)
    return np.clip(blur(image, place.blur), 0, 1), regions


def _wall(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    tone = hsv(rng.random(), rng.uniform(0.03, 0.4), rng.uniform(0.45, 0.92))
    stripes = rng.choice([0, 0, 0.04]) * np.sign(np.sin(g.x * rng.uniform(40, 90)))
    light = 0.25 * (0.5 - np.abs(g.x - rng.random())) + 0.03 * g.noise(6, 6, int(rng.integers(1e6)))
    _lay(image, regions, np.ones(g.shape, bool), _shade(tone, light + stripes), "wall")
    if rng.random() < 0.6:  # a picture or a window
        x0, y0 = rng.uniform(0, 0.75), rng.uniform(-0.1, 0.15)
        box = (g.x > x0) & (g.x < x0 + 0.26) & (g.y > y0) & (g.y < y0 + 0.3)
        pane = hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.5, 1))
        image[box] = 0.35 * tone
        inner = (g.x > x0 + 0.015) & (g.x < x0 + 0.245) & (g.y > y0 + 0.02) & (g.y < y0 + 0.28)
        image[inner] = _shade(pane, 0.3 * g.noise(9, 9, int(rng.integers(1e6))))[inner]


def _boards(g: Ground, rng: np.random.Generator) -> Array:
    tone = hsv(rng.uniform(0.05, 0.11), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.75))
    u, v = g.floor[..., 0] * 2.2, g.floor[..., 1] * 3
    seed = int(rng.integers(1e6))
    board = fbm(
        np.dstack([np.floor(u) * 7.3, np.floor(v * 0.2 + np.floor(u) * 0.37) * 5.1]), seed, 1
    )
    grain = fbm(np.dstack([u * 9, v * 0.7]), seed + 1, 3)
    gap = smoothstep(0.06, 0.0, np.minimum(u % 1, 1 - u % 1))
    return _shade(tone, 0.2 * board + 0.14 * grain - 0.4 * gap)


def _tiles(g: Ground, rng: np.random.Generator) -> Array:
    a = hsv(rng.random(), rng.uniform(0.02, 0.25), rng.uniform(0.5, 0.9))
    u, v = g.floor[..., 0] * 1.6, g.floor[..., 1] * 1.6
    odd = (np.floor(u) + np.floor(v)) % 2
    gap = smoothstep(
        0.07, 0.02, np.minimum(np.minimum(u % 1, 1 - u % 1), np.minimum(v % 1, 1 - v % 1))
    )
    return _shade(a, -0.15 * rng.choice([0, 1, 2]) * odd - 0.3 * gap + 0.05 * g.noise(20, 20, 3))


def _rug(g: Ground, rng: np.random.Generator) -> Array:
    tone = hsv(rng.random(), rng.uniform(0.05, 0.6), rng.uniform(0.25, 0.85))
    seed = int(rng.integers(1e6))
    pile = 0.16 * g.noise(90, 90, seed, 2) + 0.1 * g.noise(9, 9, seed + 1)
    motif = rng.choice([0, 0.12]) * np.sign(
        np.sin(g.floor[..., 0] * 5) * np.sin(g.floor[..., 1] * 5)
    )
    return _shade(tone, pile + motif)


def _room(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    _wall(image, regions, g, rng)
    floor = (_boards, _tiles, _rug)[int(rng.integers(3))](g, rng)
    _lay(image, regions, g.below, floor, "ground")
    edge = np.abs(g.y - (g.y[g.below].min() if g.below.any() else 1)) < 0.02
    image[edge] = 0.5 * image[edge] + 0.5 * rng.uniform(0.2, 0.95)
    if rng.random() < 0.5:
        _cupboard(image, regions, g, rng)


def _cupboard(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    x0, w, top = rng.uniform(-0.2, 0.9), rng.uniform(0.2, 0.45), rng.uniform(0.05, 0.35)
    foot = g.y[g.below].min() + 0.06 if g.below.any() else 0.8
    mask = (g.x > x0) & (g.x < x0 + w) & (g.y > top) & (g.y < foot)
    tone = hsv(rng.uniform(0.03, 0.14), rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.8))
    shelf = smoothstep(0.02, 0.0, (g.y - top) % 0.17)
    _lay(image, regions, mask, _shade(tone, 0.1 * g.noise(3, 40, 2) - 0.3 * shelf), "furniture")


def _sofa(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    _wall(image, regions, g, rng)
    tone = hsv(rng.random(), rng.uniform(0.1, 0.65), rng.uniform(0.3, 0.8))
    weave = 0.05 * g.noise(120, 120, int(rng.integers(1e6)), 1)
    seats = rng.uniform(0.35, 0.6)
    seam = smoothstep(0.03, 0.0, np.abs((g.x + rng.random()) % seats - seats / 2))
    top = g.y[g.below].min() - 0.18 if g.below.any() else 0.4
    puff = 0.12 * np.sin((g.y - top) / 0.4 * np.pi)
    back = g.y > top + 0.03 * np.abs(np.sin((g.x + 0.3) * np.pi / seats))
    _lay(image, regions, back, _shade(tone * 0.85, weave - 0.35 * seam + puff), "furniture")
    fade = smoothstep(0.0, 0.3, g.y - top - 0.3)
    _lay(
        image,
        regions,
        g.y > top + 0.32,
        _shade(tone, weave - 0.3 * seam * (1 - fade) + 0.12 - 0.2 * fade),
        "furniture",
    )
    if rng.random() < 0.6:
        cx, cy, r = rng.uniform(0, 1), top + 0.2, rng.uniform(0.12, 0.2)
        cushion = ((g.x - cx) / r) ** 4 + ((g.y - cy) / r) ** 4 < 1
        _lay(
            image,
            regions,
            cushion,
            _shade(hsv(rng.random(), 0.5, 0.7), weave - (g.y - cy)),
            "furniture",
        )


def _meadow(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    zenith, low = (
        hsv(rng.uniform(0.54, 0.62), rng.uniform(0.1, 0.55), rng.uniform(0.7, 0.95)),
        hsv(0.1, 0.1, 0.95),
    )
    sky = zenith + (low - zenith) * np.clip(g.y * 1.6, 0, 1)[..., None]
    cloud = smoothstep(0.0, 0.5, g.noise(2, 5, int(rng.integers(1e6)), 4))[..., None]
    _lay(image, regions, np.ones(g.shape, bool), sky + (0.95 - sky) * 0.7 * cloud, "sky")
    start = g.y[g.below].min() if g.below.any() else 0.6
    for k in range(int(rng.integers(1, 4))):  # hedges and trees, nearer ones darker
        seed = int(rng.integers(1e6))
        crown = start - rng.uniform(0.05, 0.4) * (
            1 + 0.6 * fbm(np.dstack([g.x * 4, g.x * 0]), seed, 4)
        )
        leaf = hsv(rng.uniform(0.18, 0.38), rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.55))
        _lay(
            image,
            regions,
            g.y > crown,
            _shade(leaf, 0.4 * g.noise(18, 18, seed) - 0.1 * k),
            "plants",
        )
    grass = hsv(rng.uniform(0.15, 0.33), rng.uniform(0.25, 0.65), rng.uniform(0.35, 0.7))
    seed = int(rng.integers(1e6))
    blades = 0.28 * fbm(np.dstack([g.x * 80 * g.aspect, g.y * 22]), seed, 2) + 0.25 * g.noise(
        4, 8, seed + 1
    )
    _lay(image, regions, g.below, _shade(grass, blades), "ground")


def _street(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    tone = hsv(rng.uniform(0.0, 0.12), rng.uniform(0.05, 0.5), rng.uniform(0.4, 0.8))
    row = np.floor(g.y * 16)
    u = (g.x * 9 * g.aspect + 0.5 * (row % 2)) % 1
    joint = np.maximum(
        smoothstep(0.06, 0.02, np.minimum(u, 1 - u)), smoothstep(0.12, 0.04, (g.y * 16) % 1)
    )
    brick = fbm(np.dstack([np.floor(g.x * 9 * g.aspect + 0.5 * (row % 2)) * 3.7, row * 5.3]), 4, 1)
    wall = _shade(tone, 0.2 * brick + 0.3 * joint * rng.choice([-1, 1]) + 0.06 * g.noise(60, 60, 5))
    _lay(image, regions, np.ones(g.shape, bool), wall, "wall")
    if rng.random() < 0.5:
        x0 = rng.uniform(0, 0.8)
        door = (g.x > x0) & (g.x < x0 + 0.22) & (g.y > 0.05)
        image[door] = _shade(hsv(rng.random(), 0.5, 0.5), 0.1 * g.noise(4, 4, 8))[door]
    flag = (
        _tiles(g, rng) * 0.8
        if rng.random() < 0.5
        else _shade(hsv(0.6, 0.04, rng.uniform(0.3, 0.6)), 0.2 * g.noise(110, 110, 6, 2))
    )
    _lay(image, regions, g.below, flag, "ground")


def _from_above(floor: object) -> object:
    def place(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
        flat = Ground(g.shape[1], g.shape[0], -0.9)
        light = 0.2 * g.noise(1.3, 1.3, int(rng.integers(1e6)), 2)
        _lay(
            image,
            regions,
            np.ones(g.shape, bool),
            _shade(np.float32(1), light) * floor(flat, rng),
            "ground",
        )

    return place


def _bokeh(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    a, b = (
        hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.7)),
        hsv(rng.random(), 0.4, rng.uniform(0.2, 0.8)),
    )
    w = np.clip(0.5 + 0.8 * g.noise(1.5, 1.5, int(rng.integers(1e6)), 2), 0, 1)[..., None]
    _lay(image, regions, np.ones(g.shape, bool), a + (b - a) * w, "wall")
    for _ in range(int(rng.integers(4, 16))):
        r = rng.uniform(0.03, 0.11)
        d = np.hypot((g.x - rng.random()) * g.aspect, g.y - rng.random() * 0.8)
        disc = smoothstep(r, r * 0.85, d)[..., None] * rng.uniform(0.1, 0.4)
        image += (hsv(rng.random(), 0.3, 1) - image) * disc
    _lay(image, regions, g.below, _shade(image, 0.1 * g.noise(3, 9, 4) - 0.15), "ground")


def _forest(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    """Trunks before dark leaves, nearer ones broader, on brown ground."""
    seed = int(rng.integers(1e6))
    leaf = hsv(rng.uniform(0.2, 0.36), rng.uniform(0.25, 0.6), rng.uniform(0.16, 0.5))
    _lay(
        image, regions, np.ones(g.shape, bool), _shade(leaf, 0.55 * g.noise(14, 14, seed)), "plants"
    )
    bark = hsv(rng.uniform(0.04, 0.1), rng.uniform(0.15, 0.45), rng.uniform(0.2, 0.5))
    for width in sorted(rng.uniform(0.01, 0.06, int(rng.integers(4, 10)))):
        lean = rng.normal(0, 0.04)
        trunk = np.abs(g.x - rng.random() - lean * g.y) < width
        shade = 0.3 * g.noise(60, 6, seed + 1) + 6 * width - 0.25
        _lay(image, regions, trunk, _shade(bark, shade), "plants")
    soil = hsv(rng.uniform(0.06, 0.25), rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.45))
    litter = 0.35 * g.noise(70, 30, seed + 2, 2) + 0.25 * g.noise(5, 9, seed + 3)
    _lay(image, regions, g.below, _shade(soil, litter), "ground")


def _riverside(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    """A meadow whose ground is water, then stones."""
    _meadow(image, regions, g, rng)
    seed = int(rng.integers(1e6))
    start = g.y[g.below].min() if g.below.any() else 0.6
    bank = start + rng.uniform(0.15, 0.3) + 0.03 * fbm(np.dstack([g.x * 5, g.x * 0]), seed, 3)
    blue = hsv(rng.uniform(0.48, 0.6), rng.uniform(0.15, 0.5), rng.uniform(0.4, 0.75))
    ripple = 0.3 * fbm(np.dstack([g.x * 9, g.y * 70]), seed + 1, 3)
    _lay(image, regions, g.below & (g.y < bank), _shade(blue, ripple), "ground")
    stone = hsv(rng.uniform(0.05, 0.15), rng.uniform(0.05, 0.2), rng.uniform(0.4, 0.65))
    _lay(image, regions, g.y >= bank, _shade(stone, 0.4 * g.noise(26, 26, seed + 2, 2)), "ground")


def _enclosure(image: Array, regions: Array, g: Ground, rng: np.random.Generator) -> None:
    """A zoo's wall of pale concrete blocks, with a stripe of blue paint, on concrete."""
    tone = hsv(rng.uniform(0.1, 0.14), 0.08, rng.uniform(0.68, 0.82))
    seed = int(rng.integers(1e6))
    u, v = (g.x * 4 * g.aspect + 0.5 * (np.floor(g.y * 7) % 2)) % 1, (g.y * 7) % 1
    joint = np.maximum(smoothstep(0.05, 0.02, u), smoothstep(0.1, 0.04, v))
    wall = _shade(tone, 0.08 * g.noise(50, 50, seed) - 0.3 * joint)
    _lay(image, regions, np.ones(g.shape, bool), wall, "wall")
    start = g.y[g.below].min() if g.below.any() else 0.6
    stripe = (g.y > start - 0.2) & (g.y < start - 0.08)
    _lay(image, regions, stripe, _shade(hsv(0.58, 0.6, 0.6), -0.2 * joint), "wall")
    floor = _shade(tone * 0.85, 0.12 * g.noise(40, 40, seed + 1, 2))
    _lay(image, regions, g.below, floor, "ground")


PLACES = {
    "room": _room,
    "sofa": _sofa,
    "meadow": _meadow,
    "street": _street,
    "carpet": _from_above(_rug),
    "wood": _from_above(_boards),
    "bokeh": _bokeh,
    "forest": _forest,
    "riverside": _riverside,
    "enclosure": _enclosure,
}


def draw_occluder(thing: Occluder, width: int, height: int) -> Array:
    """Draw something in front of the animals: an RGBA picture (H, W, 4) in 0..1."""
    rng = np.random.default_rng(thing.variant)
    image = Image.new("RGBA", (width, height))
    pen = ImageDraw.Draw(image)
    at = np.array([thing.x * width, thing.y * height])
    FRONT[thing.kind](pen, at, thing.size * min(width, height), (width, height), rng)
    rgba = np.asarray(image, np.float32) / 255
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    texture = 0.16 * fbm(np.dstack([x * 30, y * 12]), thing.variant % 9999, 3)
    light = 0.25 * (0.5 - y) + texture
    return np.dstack([np.clip(_shade(rgba[..., :3], light), 0, 1), rgba[..., 3:]])


def _ink(colour: Array, factor: float = 1.0) -> tuple[int, ...]:
    return (*(int(255 * np.clip(c * factor, 0, 1)) for c in colour), 255)


def _leaf(
    pen: ImageDraw.ImageDraw, root: Array, angle: float, length: float, colour: Array
) -> None:
    """One leaf: a pointed oval along `angle` with a lighter midrib."""
    s = np.linspace(0, 1, 12)
    spine = root + np.outer(s, [np.cos(angle), np.sin(angle)]) * length
    spine[:, 1] += 0.25 * length * s**2
    side = np.outer(np.sin(np.pi * s**0.8) * 0.17 * length, [-np.sin(angle), np.cos(angle)])
    pen.polygon(
        [tuple(p) for p in np.vstack([spine + side, (spine - side)[::-1]])], fill=_ink(colour)
    )
    pen.polygon([tuple(p) for p in np.vstack([spine + side, spine[::-1]])], fill=_ink(colour, 1.2))
    pen.line([tuple(p) for p in spine], fill=_ink(colour, 1.5), width=2)


def _leaves(
    pen: ImageDraw.ImageDraw,
    at: Array,
    size: float,
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    hue, corner = rng.uniform(0.17, 0.4), (0 if at[0] < frame[0] / 2 else frame[0])
    for _ in range(int(rng.integers(7, 15))):
        root = np.array([corner, at[1]]) + rng.normal(0, 0.35, 2) * size
        aim = np.arctan2(at[1] - root[1], at[0] - root[0]) + rng.normal(0, 0.5)
        _leaf(
            pen,
            root,
            aim,
            size * rng.uniform(0.6, 1.3),
            hsv(hue + rng.normal(0, 0.02), 0.55, rng.uniform(0.25, 0.6)),
        )


def _plant(
    pen: ImageDraw.ImageDraw,
    at: Array,
    size: float,
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    hue, w = rng.uniform(0.22, 0.4), 0.32 * size
    for _ in range(16):
        _leaf(
            pen,
            at - (0, 0.3 * size),
            rng.uniform(-np.pi, 0),
            size * rng.uniform(0.6, 1.1),
            hsv(hue + rng.normal(0, 0.03), 0.5, rng.uniform(0.25, 0.6)),
        )
    pot = hsv(rng.uniform(0, 0.12), rng.uniform(0.2, 0.7), rng.uniform(0.4, 0.9))
    x, y = at
    pen.polygon(
        [
            (x - w, y - 0.4 * size),
            (x + w, y - 0.4 * size),
            (x + 0.75 * w, y + 0.4 * size),
            (x - 0.75 * w, y + 0.4 * size),
        ],
        fill=_ink(pot),
    )
    pen.rectangle([x - 1.1 * w, y - 0.45 * size, x + 1.1 * w, y - 0.3 * size], fill=_ink(pot, 1.15))


def _box(
    pen: ImageDraw.ImageDraw,
    at: Array,
    size: float,
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    card = hsv(rng.uniform(0.06, 0.11), rng.uniform(0.25, 0.5), rng.uniform(0.5, 0.8))
    x, y = at
    w = size * rng.uniform(0.7, 1.1)
    pen.polygon(
        [(x - w, y), (x + w, y), (x + 0.95 * w, frame[1] + 5), (x - 0.95 * w, frame[1] + 5)],
        fill=_ink(card),
    )
    pen.polygon(
        [(x - w, y), (x + w, y), (x + 1.12 * w, y + 0.3 * size), (x - 1.1 * w, y + 0.28 * size)],
        fill=_ink(card, 1.15),
    )
    pen.line([(x - w, y), (x + w, y)], fill=_ink(card, 0.7), width=2)


def _chair(
    pen: ImageDraw.ImageDraw,
    at: Array,
    size: float,
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    wood = hsv(rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.7))
    x, y = at
    t = 0.1 * size
    for dx in (-0.7, 0.0, 0.7):
        pen.rectangle([x + dx * size - t, y - size, x + dx * size + t, frame[1]], fill=_ink(wood))
        pen.rectangle(
            [x + dx * size - t, y - size, x + dx * size - 0.3 * t, frame[1]], fill=_ink(wood, 1.25)
        )
    pen.rectangle(
        [x - 0.85 * size, y - 0.2 * size, x + 0.85 * size, y + 0.02 * size], fill=_ink(wood, 0.85)
    )


def _fence(
    pen: ImageDraw.ImageDraw,
    at: Array,
    size: float,
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    paint = hsv(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.35, 0.95))
    gap = size * rng.uniform(0.45, 0.7)
    for x in np.arange(rng.uniform(-gap, 0), frame[0], gap):
        w = 0.3 * gap
        pen.polygon(
            [(x, at[1]), (x + w / 2, at[1] - w), (x + w, at[1]), (x + w, frame[1]), (x, frame[1])],
            fill=_ink(paint),
        )
        pen.line([(x + w, at[1]), (x + w, frame[1])], fill=_ink(paint, 0.7), width=2)
    pen.rectangle([0, at[1] + 0.2 * size, frame[0], at[1] + 0.32 * size], fill=_ink(paint, 0.9))


def _tree(
    pen: ImageDraw.ImageDraw,
    at: Array,
    size: float,
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    bark = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.2, 0.45), rng.uniform(0.25, 0.5))
    y = np.linspace(-5, frame[1] + 5, 24)
    w = 0.33 * size * (1 + 0.5 * np.clip(y / frame[1] - 0.8, 0, 1) * 4)
    left, right = (
        at[0] - w + rng.normal(0, 0.015, 24) * size,
        at[0] + w + rng.normal(0, 0.015, 24) * size,
    )
    pen.polygon(
        [*zip(left, y, strict=True), *zip(right[::-1], y[::-1], strict=True)], fill=_ink(bark)
    )
    for _ in range(40):
        x0, y0 = at[0] + rng.uniform(-0.9, 0.9) * w[0], rng.uniform(0, frame[1])
        pen.line(
            [(x0, y0), (x0 + rng.normal(0, 0.02) * size, y0 + rng.uniform(0.05, 0.3) * size)],
            fill=_ink(bark, rng.uniform(0.6, 1.4)),
            width=2,
        )


def _blanket(
    pen: ImageDraw.ImageDraw,
    at: Array,
    size: float,
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    wool = hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.85))
    x = np.linspace(0, frame[0], 40)
    top = (
        at[1]
        + 0.12 * size * np.sin(x / frame[0] * rng.uniform(4, 9) + rng.random() * 6)
        + 0.3 * size * np.abs(x - at[0]) / frame[0]
    )
    for k in range(8):
        band = [
            *zip(x, top + k * 0.16 * size, strict=True),
            (frame[0], frame[1] + 5),
            (0, frame[1] + 5),
        ]
        pen.polygon(band, fill=_ink(wool, 1.1 if k % 2 else 0.92))


FRONT = {
    "leaves": _leaves,
    "plant": _plant,
    "box": _box,
    "chair": _chair,
    "fence": _fence,
    "tree": _tree,
    "blanket": _blanket,
}
