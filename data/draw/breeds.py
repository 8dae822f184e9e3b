"""The table of animals: proportions and coats. Adding an animal is adding a row.

Lengths are in head radii; colours are 8-bit sRGB in hex.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Head:
    """The shape of a head. The skull is a ball of radius 1, stretched."""

    width: float = 1.0
    height: float = 0.9
    cheek: float = 0.46  # radius of the cheeks
    muzzle: float = 0.16  # how far the muzzle stands out
    muzzle_width: float = 0.26
    muzzle_y: float = -0.3  # height of its middle
    taper: float = 0.8  # tip of the muzzle / its root
    pads: float = 0.2  # radius of the two whisker pads
    nose: float = 0.085  # half width
    nose_ball: float = 0.0  # radius of a nose that stands out; 0 paints it on
    eye: float = 0.23  # half width
    eye_x: float = 0.42
    eye_y: float = 0.06
    eye_slant: float = 14.0  # degrees, outer corner up
    eye_open: float = 0.8  # height / width
    pupil: str = "slit"  # or "round"
    ear: str = "pricked"  # or "floppy", "folded", "round"
    ear_size: float = 0.85
    ear_width: float = 0.5
    ear_x: float = 0.6  # where it stands on the skull
    ear_lean: float = 0.3  # how far the tip leans outwards
    whiskers: bool = True


@dataclass(frozen=True)
class Body:
    """The shape of the rest."""

    length: float = 3.4  # chest to hip
    girth: float = 1.05  # radius of the chest
    height: float = 3.4  # ground to spine, standing
    leg: float = 0.29  # radius of a leg
    neck: float = 1.15
    neck_width: float = 0.62
    tail: str = "long"  # or "curled", "short"
    tail_length: float = 3.6
    tail_width: float = 0.2


@dataclass(frozen=True)
class Fur:
    """Lengths of hair by region."""

    body: float = 0.16
    face: float = 0.07
    ruff: float = 0.12  # cheeks, neck and chest
    tail: float = 0.15
    ears: float = 0.06
    wave: float = 0.2  # how unruly


@dataclass(frozen=True)
class Coat:
    """Colours and markings: `pattern` names a function of `coat.PATTERNS`."""

    pattern: str
    base: str
    dark: str = "#2a221c"
    pale: str = "#efe6d8"
    belly: float = 0.4  # how pale chin, chest and belly are
    eyes: tuple[str, ...] = ("#8a9a3c", "#b98a2e")
    nose: str = "#b5736c"
    skin: str = "#c9948a"  # inside the ears


@dataclass(frozen=True)
class Breed:
    """One row: shape, hair, and the coats an individual may have."""

    name: str
    species: str
    head: Head
    body: Body
    fur: Fur
    coats: tuple[Coat, ...]


CAT = Head()
CAT_BODY = Body()
DOG = Head(
    width=0.92,
    height=0.88,
    cheek=0.42,
    muzzle=0.85,
    muzzle_width=0.44,
    muzzle_y=-0.26,
    pads=0.0,
    nose=0.2,
    nose_ball=0.19,
    eye=0.17,
    eye_x=0.4,
    eye_y=0.16,
    eye_slant=6,
    eye_open=0.85,
    pupil="round",
    ear="floppy",
    ear_size=1.3,
    ear_width=0.46,
    ear_x=0.72,
    ear_lean=0.3,
    whiskers=False,
)
DOG_BODY = Body(3.3, 1.25, 3.5, 0.36, 1.2, 0.72, "long", 2.2, 0.2)
BLUE, GREEN, COPPER, GOLD = "#5f9fd6", "#86a848", "#c07a24", "#c9a23a"
BROWN, BLACK_BROWN = "#4a2c16", "#2c1a10"
PINK, BLACK, LIVER = "#c07e78", "#191615", "#5a3626"


def _row(name: str, species: str, head: Head, body: Body, fur: Fur, *coats: Coat) -> Breed:
    return Breed(name, species, head, body, fur, coats)


def _dog_coat(pattern: str, base: str, dark: str = "#1d1816", **more: object) -> Coat:
    eyes = more.pop("eyes", (BROWN, BLACK_BROWN))
    nose = more.pop("nose", BLACK)
    return Coat(pattern, base, dark, eyes=eyes, nose=nose, skin="#a98074", **more)


BEAR = replace(
    DOG,
    width=1.02,
    height=0.95,
    cheek=0.58,
    muzzle=0.62,
    muzzle_width=0.46,
    taper=0.72,
    muzzle_y=-0.3,
    nose_ball=0.17,
    nose=0.18,
    eye=0.11,
    eye_x=0.36,
    eye_y=0.2,
    ear="round",
    ear_size=0.5,
    ear_width=0.32,
    ear_x=0.66,
)
BEAR_BODY = Body(4.2, 1.85, 4.3, 0.62, 1.2, 1.15, "short", 0.5, 0.3)


_ROWS = (
    _row(
        "Siamese",
        "cat",
        replace(
            CAT,
            width=0.92,
            cheek=0.42,
            muzzle=0.24,
            taper=0.75,
            ear_size=1.05,
            ear_width=0.5,
            ear_lean=0.55,
            eye_slant=24,
        ),
        replace(CAT_BODY, girth=0.9, leg=0.29, tail_width=0.15),
        Fur(0.1, 0.05, 0.08, 0.09, 0.04),
        Coat("point", "#e3d3ba", "#3f2e27", "#f0e6d4", 0.3, (BLUE,), "#3b2a27", "#9c7468"),
        Coat("point", "#ece4d8", "#77767f", "#f6f1ea", 0.3, (BLUE,), "#6a5c60", "#b0908a"),
        Coat("point", "#efe2cc", "#b0683a", "#f8efe0", 0.3, (BLUE,), "#b9776a", "#c9948a"),
    ),
    _row(
        "Persian",
        "cat",
        replace(
            CAT,
            width=1.08,
            height=0.95,
            cheek=0.62,
            muzzle=0.0,
            muzzle_y=-0.22,
            pads=0.25,
            ear_size=0.6,
            ear_width=0.42,
            ear_x=0.68,
            ear_lean=0.35,
            eye=0.26,
            eye_slant=2,
            eye_open=1.05,
        ),
        replace(
            CAT_BODY, girth=1.25, length=3.0, height=2.9, leg=0.34, tail_length=2.8, tail_width=0.3
        ),
        Fur(0.36, 0.08, 0.34, 0.5, 0.1, 0.25),
        Coat("solid", "#f1ece4", "#c9bfb2", "#ffffff", 0.5, (COPPER, BLUE), "#cf938c"),
        Coat("solid", "#8d9098", "#5c5f68", "#b6b8be", 0.3, (COPPER,), "#5c5358"),
        Coat("tabby", "#d79a5e", "#b26c34", "#f1dcc0", 0.6, (COPPER,), "#c27a6c"),
    ),
    _row(
        "Bengal",
        "cat",
        replace(CAT, muzzle=0.2, ear_size=0.7, ear_width=0.42, pads=0.27),
        replace(CAT_BODY, length=3.7, girth=1.0, leg=0.32),
        Fur(0.09, 0.05, 0.09, 0.1, 0.04),
        Coat("rosette", "#c98f4e", "#3a2416", "#f0dcc0", 0.6, (GREEN, GOLD), "#a3594c"),
        Coat("rosette", "#d9b98a", "#5a3c22", "#f4e8d4", 0.6, (GREEN, "#6fae9a"), "#a3594c"),
    ),
    _row(
        "Maine_Coon",
        "cat",
        replace(
            CAT,
            muzzle=0.3,
            muzzle_width=0.33,
            taper=0.92,
            ear_size=1.05,
            ear_width=0.46,
            ear_lean=0.18,
            pads=0.25,
        ),
        replace(CAT_BODY, length=3.9, girth=1.2, leg=0.36, tail_length=4, tail_width=0.34),
        Fur(0.26, 0.08, 0.34, 0.5, 0.14, 0.25),
        Coat("tabby", "#9a7850", "#3b2a1c", "#e6d6bc", 0.6, (GREEN, GOLD), "#a8665a"),
        Coat("tabby", "#b9b8b4", "#4b4a4a", "#f2f0ec", 0.6, (GREEN, GOLD), "#a8665a"),
        Coat("tabby", "#cf8a4c", "#9a5526", "#f5e2c8", 0.7, (GOLD, COPPER), "#c27a6c"),
        Coat("bicolour", "#574a40", "#2a2320", "#f7f4ee", 0.9, (GREEN, GOLD), PINK),
    ),
    _row(
        "Russian_Blue",
        "cat",
        replace(CAT, muzzle=0.2, ear_size=0.95, ear_width=0.45, ear_lean=0.42, eye_open=0.82),
        replace(CAT_BODY, girth=0.95, leg=0.27),
        Fur(0.13, 0.06, 0.13, 0.13, 0.05),
        Coat(
            "solid", "#7e8794", "#565e6a", "#9aa2ae", 0.25, ("#7fb552", GREEN), "#5a5660", "#a08a90"
        ),
        Coat(
            "solid", "#939aa5", "#636a76", "#aeb5bf", 0.25, ("#7fb552", GREEN), "#5a5660", "#a08a90"
        ),
    ),
    _row(
        "Egyptian_Mau",
        "cat",
        replace(CAT, muzzle=0.2, ear_size=0.88, eye=0.25, eye_slant=10, eye_open=0.95),
        replace(CAT_BODY, girth=0.92, leg=0.27),
        Fur(0.1, 0.05, 0.1, 0.1, 0.04),
        Coat("spotted", "#c3bfb8", "#3c3a3a", "#efece6", 0.55, ("#a9c468", GREEN), "#a9665c"),
        Coat("spotted", "#b79a78", "#45301f", "#e8d8c0", 0.55, ("#a9c468", GREEN), "#a9665c"),
    ),
    _row(
        "Bombay",
        "cat",
        replace(
            CAT,
            width=1.03,
            cheek=0.56,
            muzzle=0.14,
            ear_size=0.75,
            ear_lean=0.36,
            eye_slant=8,
            eye_open=1.0,
        ),
        CAT_BODY,
        Fur(0.1, 0.05, 0.1, 0.1, 0.04),
        Coat("solid", "#2a2728", "#121112", "#3a3636", 0.2, (COPPER, GOLD), "#1e1a1b", "#54444a"),
    ),
    _row(
        "Sphynx",
        "cat",
        replace(
            CAT,
            width=0.88,
            cheek=0.46,
            muzzle=0.22,
            ear_size=1.1,
            ear_width=0.58,
            ear_lean=0.5,
            eye=0.25,
            eye_slant=20,
        ),
        replace(CAT_BODY, girth=0.95, leg=0.27, tail_width=0.12),
        Fur(0.0, 0.0, 0.0, 0.0, 0.0),
        Coat("skin", "#d9a894", "#a57266", "#eec6b4", 0.3, (BLUE, "#9ab86a"), "#c27a70", "#d78f84"),
        Coat("skin", "#a79a98", "#6f6264", "#dcc0b6", 0.5, (GREEN, GOLD), "#8a6064", "#c08880"),
    ),
    _row(
        "beagle",
        "dog",
        replace(DOG, ear_size=1.55, ear_width=0.5, muzzle=0.85),
        DOG_BODY,
        Fur(0.09, 0.05, 0.1, 0.12, 0.05),
        _dog_coat("tricolour", "#b5743c", "#2a211d", pale="#f6f1e8", belly=1.0),
        _dog_coat("tricolour", "#c98a4e", "#4a3020", pale="#faf5ec", belly=1.0),
    ),
    _row(
        "german_shorthaired",
        "dog",
        replace(
            DOG, width=0.88, muzzle=1.1, muzzle_width=0.42, taper=0.86, ear_size=1.3, ear_x=0.7
        ),
        replace(
            DOG_BODY, length=3.9, girth=1.3, height=4.2, leg=0.34, tail="short", tail_length=1.2
        ),
        Fur(0.07, 0.04, 0.07, 0.08, 0.04),
        _dog_coat(
            "ticked", "#5b3826", "#472a1c", pale="#e2d9cc", eyes=("#7a5226", BROWN), nose=LIVER
        ),
    ),
    _row(
        "pug",
        "dog",
        replace(
            DOG,
            width=1.04,
            height=0.94,
            cheek=0.58,
            muzzle=0.2,
            muzzle_width=0.52,
            taper=0.95,
            muzzle_y=-0.24,
            nose=0.17,
            nose_ball=0.15,
            eye=0.22,
            eye_open=1.0,
            eye_x=0.46,
            eye_y=0.08,
            ear="folded",
            ear_size=0.62,
            ear_width=0.4,
            ear_x=0.78,
        ),
        replace(
            DOG_BODY,
            length=2.5,
            girth=1.3,
            height=2.7,
            leg=0.38,
            neck=0.95,
            neck_width=0.9,
            tail="curled",
            tail_length=1.7,
            tail_width=0.22,
        ),
        Fur(0.08, 0.04, 0.08, 0.09, 0.04),
        _dog_coat("mask", "#d3ae7e", "#2a2320", pale="#e8d3b0", belly=0.3),
        _dog_coat("mask", "#bfa183", "#2a2320", pale="#d8c4a8", belly=0.3),
        _dog_coat("solid", "#2b2829", "#141213", pale="#3b3736", belly=0.2),
    ),
    _row(
        "shiba_inu",
        "dog",
        replace(
            DOG,
            width=1.0,
            cheek=0.56,
            muzzle=0.62,
            muzzle_width=0.42,
            taper=0.72,
            nose_ball=0.15,
            nose=0.16,
            eye=0.16,
            eye_slant=18,
            eye_open=0.75,
            ear="pricked",
            ear_size=0.72,
            ear_width=0.4,
            ear_x=0.52,
            ear_lean=0.2,
        ),
        replace(
            DOG_BODY,
            length=3.0,
            girth=1.2,
            height=3.2,
            tail="curled",
            tail_length=2.4,
            tail_width=0.34,
        ),
        Fur(0.18, 0.07, 0.24, 0.3, 0.06),
        _dog_coat("shiba", "#c97f3f", "#8a4d22", pale="#f6ead8", belly=0.9),
        _dog_coat("shiba", "#2c2624", "#191514", pale="#e0b98c", belly=0.8),
        _dog_coat("shiba", "#dfc39a", "#b28d60", pale="#faf3e6", belly=0.8),
    ),
    _row(
        "samoyed",
        "dog",
        replace(
            DOG,
            width=1.02,
            cheek=0.55,
            muzzle=0.68,
            muzzle_width=0.42,
            taper=0.75,
            nose_ball=0.16,
            nose=0.17,
            eye_slant=14,
            eye_open=0.72,
            ear="pricked",
            ear_size=0.62,
            ear_width=0.38,
            ear_x=0.58,
            ear_lean=0.22,
        ),
        replace(
            DOG_BODY,
            girth=1.35,
            height=3.5,
            leg=0.42,
            tail="curled",
            tail_length=2.8,
            tail_width=0.4,
        ),
        Fur(0.36, 0.1, 0.4, 0.6, 0.09, 0.25),
        _dog_coat("solid", "#efece6", "#cfc7ba", pale="#ffffff", belly=0.5),
        _dog_coat("solid", "#ebe2d2", "#cbb89a", pale="#ffffff", belly=0.5),
    ),
    _row(
        "chihuahua",
        "dog",
        replace(
            DOG,
            width=1.02,
            height=1.0,
            cheek=0.46,
            muzzle=0.42,
            muzzle_width=0.34,
            taper=0.7,
            nose_ball=0.13,
            nose=0.14,
            eye=0.22,
            eye_x=0.46,
            eye_y=0.02,
            eye_open=0.95,
            ear="pricked",
            ear_size=1.05,
            ear_width=0.5,
            ear_x=0.64,
            ear_lean=0.62,
        ),
        replace(
            DOG_BODY,
            length=2.5,
            girth=0.95,
            height=2.9,
            leg=0.24,
            neck=1.0,
            neck_width=0.56,
            tail_width=0.13,
        ),
        Fur(0.1, 0.05, 0.1, 0.12, 0.06),
        _dog_coat("shiba", "#cf9f66", "#8c5e34", pale="#f4e6d0", belly=0.5),
        _dog_coat("shiba", "#2b2523", "#171312", pale="#b9783e", belly=0.6),
        _dog_coat("bicolour", "#b98a56", "#7a5430", pale="#faf5ec", belly=0.9),
    ),
    _row(
        "yorkshire_terrier",
        "dog",
        replace(
            DOG,
            muzzle=0.48,
            muzzle_width=0.36,
            taper=0.8,
            nose_ball=0.13,
            nose=0.14,
            eye=0.17,
            ear="pricked",
            ear_size=0.7,
            ear_width=0.36,
            ear_x=0.55,
            ear_lean=0.25,
        ),
        replace(
            DOG_BODY, length=2.7, girth=1.0, height=2.6, leg=0.3, tail="short", tail_length=1.1
        ),
        Fur(0.55, 0.3, 0.5, 0.5, 0.16, 0.2),
        _dog_coat("yorkie", "#5a5c66", "#34353c", pale="#c18b4e", belly=0.5),
        _dog_coat("yorkie", "#3c3a3e", "#232226", pale="#b57a40", belly=0.5),
    ),
    _row(
        "grizzly",
        "bear",
        replace(BEAR, width=1.1, cheek=0.64),
        BEAR_BODY,
        Fur(0.34, 0.14, 0.34, 0.2, 0.12, 0.25),
        _dog_coat("solid", "#8a6038", "#4a3018", pale="#b98d5c", belly=0.3),
        _dog_coat("solid", "#a67c4c", "#5c3e22", pale="#cba878", belly=0.3),
        _dog_coat("solid", "#7a5836", "#452f1a", pale="#b08c60", belly=0.4),
    ),
    _row(
        "black",
        "bear",
        replace(BEAR, muzzle=0.72, ear_size=0.58),
        replace(BEAR_BODY, girth=1.6, leg=0.54),
        Fur(0.22, 0.1, 0.22, 0.15, 0.1, 0.2),
        _dog_coat("black_bear", "#2a2728", "#161414", pale="#9a6c40", belly=0.0),
    ),
    _row(  # a black bear with a brown coat: one in four is, in the west of North America
        "cinnamon",
        "bear",
        replace(BEAR, muzzle=0.72, ear_size=0.58),
        replace(BEAR_BODY, girth=1.6, leg=0.54),
        Fur(0.22, 0.1, 0.22, 0.15, 0.1, 0.2),
        _dog_coat("black_bear", "#84401f", "#4a200c", pale="#d2ac7c", belly=0.0),
        _dog_coat("black_bear", "#6c3218", "#3a1a0c", pale="#c8a06c", belly=0.0),
    ),
    _row(
        "polar",
        "bear",
        replace(BEAR, width=0.95, cheek=0.48, muzzle=0.8, ear_size=0.4),
        replace(BEAR_BODY, girth=1.7, neck=1.5),
        Fur(0.24, 0.1, 0.24, 0.2, 0.1, 0.2),
        _dog_coat("solid", "#efeadb", "#d8cfb8", pale="#faf8f2", belly=0.3),
        _dog_coat("solid", "#e6dcc2", "#cbbd9c", pale="#f4eedd", belly=0.3),
    ),
    _row(
        "teddy",
        "bear",
        replace(
            BEAR,
            width=1.12,
            muzzle=0.3,
            muzzle_width=0.5,
            taper=0.95,
            eye=0.15,
            eye_x=0.4,
            eye_y=0.1,
            ear_size=0.55,
            ear_width=0.4,
            nose_ball=0.14,
            nose=0.15,
        ),
        replace(BEAR_BODY, length=2.0, girth=1.15, height=2.4, leg=0.46, neck=0.7),
        Fur(0.1, 0.08, 0.1, 0.1, 0.08, 0.9),
        _dog_coat("solid", "#c08a4c", "#9a6a38", pale="#ecd2a4", belly=0.9, eyes=("#120c0a",)),
        _dog_coat("solid", "#dcbf94", "#b8966a", pale="#f4e4c8", belly=0.9, eyes=("#120c0a",)),
        _dog_coat("solid", "#8c5a3c", "#6a402a", pale="#d8b088", belly=0.9, eyes=("#120c0a",)),
        _dog_coat("solid", "#4a362c", "#33241d", pale="#a98a68", belly=0.8, eyes=("#120c0a",)),
    ),
)
BREEDS = {row.name: row for row in _ROWS}
