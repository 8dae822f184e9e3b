"""What a picture shows, in words and numbers: plain dataclasses, no drawing.

Lengths in the frame are fractions of its width (x, to the right) and height (y, downwards).
Angles are in degrees. Lengths on an animal are in head radii.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CONDITIONS = ("day", "night", "snow", "behind_tree", "far_away", "black_and_white", "cartoon")
STANCES = ("sit", "stand", "lie")
BACKGROUNDS = ("room", "sofa", "meadow", "street", "carpet", "wood", "bokeh")  # where pets are
WILD_BACKGROUNDS = ("forest", "riverside", "enclosure")  # where bears are
OCCLUDERS = ("leaves", "plant", "box", "chair", "fence", "tree", "blanket")


@dataclass(frozen=True)
class Pose:
    """How an animal holds itself. Yaw 0 faces the viewer, 90 to the right, 180 away."""

    stance: str = "sit"  # one of STANCES
    yaw: float = 0.0  # of the body, about the vertical
    head_yaw: float = 0.0  # of the head, relative to the body
    head_pitch: float = 0.0  # positive looks down
    head_tilt: float = 0.0  # positive leans to the animal's left
    stride: float = 0.0  # -1..1, how far the legs swing when it stands
    mouth: float = 0.0  # 0 closed .. 1 open, tongue out
    eyes: float = 1.0  # 0 shut .. 1 wide
    ears: float = 0.0  # -1 laid back .. 1 turned forwards


@dataclass(frozen=True)
class Animal:
    """One animal: a row of the breed table, posed and placed."""

    breed: str
    pose: Pose = Pose()
    x: float = 0.5  # where its anchor is
    y: float = 0.85
    scale: float = 0.3  # diameter of its head / short side of the frame
    anchor: str = "feet"  # what sits at (x, y): the ground between its "feet", or its "head"
    elevation: float = 8.0  # of the camera above it, in degrees
    variant: int = 0  # which individual: colours, markings and proportions vary with it


@dataclass(frozen=True)
class Light:
    """One key light and an ambient one."""

    azimuth: float = -35.0  # from the viewer's left (negative) or right
    elevation: float = 50.0
    colour: tuple[float, float, float] = (1.0, 0.97, 0.92)
    ambient: tuple[float, float, float] = (0.95, 0.98, 1.05)
    contrast: float = 0.6  # share of the key light, 0..1
    exposure: float = 1.0


@dataclass(frozen=True)
class Background:
    """The place. `variant` picks its colours and things; `blur` is in pixels of the picture."""

    kind: str = "meadow"  # one of BACKGROUNDS or WILD_BACKGROUNDS
    horizon: float = 0.5  # where ground begins, fraction of the height from the top
    blur: float = 1.0
    variant: int = 0


@dataclass(frozen=True)
class Occluder:
    """A thing in front of the animals."""

    kind: str  # one of OCCLUDERS
    x: float = 0.5
    y: float = 0.8
    size: float = 0.4  # fraction of the short side
    variant: int = 0


@dataclass(frozen=True)
class Scene:
    """A whole picture. Animals are given from the farthest to the nearest."""

    size: tuple[int, int] = (200, 150)  # width, height in pixels
    background: Background = Background()
    light: Light = Light()
    animals: tuple[Animal, ...] = ()
    occluders: tuple[Occluder, ...] = ()
    condition: str = "day"  # one of CONDITIONS
    defocus: float = 0.0  # blur of the whole picture, in pixels
    grain: float = 0.01  # sensor noise, standard deviation on a 0..1 scale
    tags: tuple[str, ...] = field(default=())  # free words, for whoever sorts the pictures
