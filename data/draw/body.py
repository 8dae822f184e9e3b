"""From a breed and a pose to parts in space, key points and frames for markings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .breeds import Body, Breed, Head
from .scene import Animal, Pose
from .trace import Part, Solid

GROUPS = ("head", "ear", "eye", "nose", "tongue", "neck", "torso", "leg", "tail")
Vec = tuple[float, float, float]


def turn(yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    """Return the rotation (3, 3) by angles in degrees: yaw about y, pitch about x, roll about z."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(a := np.radians([yaw, pitch, roll])), np.sin(a)
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rx = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    rz = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return ry @ rx @ rz


@dataclass
class Rig:
    """Collects parts. Points given to it are in the frame (`rot`, `origin`) set at the time."""

    rot: np.ndarray
    origin: np.ndarray
    parts: list[Part] = field(default_factory=list)
    points: dict[str, np.ndarray] = field(default_factory=dict)
    frames: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def world(self, p: Vec | np.ndarray) -> np.ndarray:
        """Map a point of the current frame to the world."""
        return self.rot @ np.asarray(p, float) + self.origin

    def limb(
        self,
        name: str,
        a: Vec,
        b: Vec,
        ra: float,
        rb: float,
        flat: float = 1.0,
        facing: Vec = (0, 0, 1),
        blend: float = 0.25,
        carve: bool = False,
    ) -> None:
        """Add a tapered capsule, flattened by `flat` along `facing`."""
        a, b = self.world(a), self.world(b)
        axis = (b - a) / np.linalg.norm(b - a)
        thin = self.rot @ np.asarray(facing, float)
        thin = thin - axis * (thin @ axis)
        thin /= np.linalg.norm(thin)
        frame = np.stack([np.cross(thin, axis), thin, axis], 1)
        self.parts.append(Part(name, a, b, ra, rb, frame, (1, flat, 1), blend, carve))

    def ball(
        self,
        name: str,
        centre: Vec,
        radii: Vec,
        blend: float = 0.25,
        tilt: np.ndarray | None = None,
    ) -> None:
        """Add an ellipsoid with its axes along the current frame (turned by `tilt`)."""
        frame = self.rot if tilt is None else self.rot @ tilt
        at = self.world(centre)
        self.parts.append(Part(name, at, at, 1.0, 1.0, frame, tuple(radii), blend))


def pose_animal(animal: Animal, breed: Breed) -> Rig:
    """Build the posed animal about its anchor, as seen by the camera."""
    rng = np.random.default_rng(animal.variant)
    pose, body = animal.pose, breed.body
    view = turn(pitch=animal.elevation)
    rig = Rig(view @ turn(pose.yaw), np.zeros(3))
    chest, hip = _spine(body, pose)
    width = 1 + 0.07 * rng.standard_normal()
    _torso(rig, body, chest, hip, width)
    _legs(rig, body, pose, chest, hip)
    _tail(rig, body, pose, hip, rng)
    head_at = _neck(rig, body, pose, chest)
    rig.frames["torso"] = (rig.rot, rig.world((np.add(chest, hip)) / 2))
    rig.origin = rig.world(head_at)
    rig.rot = view @ turn(pose.yaw + pose.head_yaw, pose.head_pitch, pose.head_tilt)
    rig.frames["head"] = (rig.rot, rig.origin)
    first = len(rig.parts)
    _skull(rig, breed.head, pose)
    _ears(rig, breed.head, pose)
    _face(rig, breed.head, pose, rig.parts[first:])
    return _anchored(rig, animal)


def _spine(body: Body, pose: Pose) -> tuple[Vec, Vec]:
    """Return the centres of chest and hip."""
    g, length = body.girth, body.length
    if pose.stance == "sit":
        hip = (0, 0.92 * g, -0.3 * length)
        return (0, hip[1] + 0.72 * length * 0.82, hip[2] + 0.72 * length * 0.6), hip
    if pose.stance == "lie":
        return (0, 0.95 * g, 0.5 * length), (0, 0.85 * g, -0.5 * length)
    return (0, body.height, 0.5 * length), (0, 0.97 * body.height, -0.5 * length)


def _torso(rig: Rig, body: Body, chest: Vec, hip: Vec, width: float) -> None:
    g = body.girth
    rig.limb("torso", chest, hip, g * width, 0.86 * g * width, 0.9, (1, 0, 0), 0.3)
    breast = np.add(chest, (0, -0.12 * g, 0.3 * g))
    rig.ball("torso", breast, (0.86 * g, 0.95 * g, 0.8 * g), 0.4)


def _neck(rig: Rig, body: Body, pose: Pose, chest: Vec) -> Vec:
    """Add the neck; return where the head's centre goes."""
    up, ahead = (0.95, 0.45) if pose.stance == "sit" else (0.82, 0.8)
    reach = body.neck + 0.55 * body.girth
    head_at = np.add(chest, (0, up * reach, ahead * reach))
    base = np.add(chest, (0, 0.3 * body.girth, 0.2 * body.girth))
    top = np.add(head_at, (0, -0.3, -0.3))
    rig.limb("neck", base, top, 1.12 * body.neck_width, 0.95 * body.neck_width, blend=0.5)
    return head_at


def _legs(rig: Rig, body: Body, pose: Pose, chest: Vec, hip: Vec) -> None:
    r, g = body.leg, body.girth
    for side, word in ((1, "left"), (-1, "right")):
        swing = 0.55 * pose.stride * side
        paws = _front_leg(pose, chest, side, r, g, swing), _hind_leg(pose, hip, side, r, g, swing)
        for end, joints in zip(("front", "hind"), paws, strict=True):
            thick = (
                np.array([1.35, 1.05, 0.86]) if end == "front" else np.array([2.0, 1.2, 0.78, 0.8])
            )
            radii = r * thick
            for i in range(len(joints) - 1):
                rig.limb("leg", joints[i], joints[i + 1], radii[i], radii[i + 1], blend=0.3)
            toe = np.add(joints[-1], (0, 0.02, 0.3 * r))
            rig.ball("leg", toe, (1.05 * r, 0.75 * r, 1.35 * r), 0.12)
            rig.points[f"{word}_{end}_paw"] = rig.world(np.add(toe, (0, 0, r)))
        if pose.stance != "stand":
            thigh = np.add(hip, (side * 0.72 * g, -0.1 * g, 0.35 * g))
            rig.ball("leg", thigh, (0.42 * g, 0.75 * g, 0.85 * g), 0.2)


def _front_leg(pose: Pose, chest: Vec, side: int, r: float, g: float, swing: float) -> list[Vec]:
    x, y, z = side * 0.55 * g, chest[1], chest[2]
    if pose.stance == "lie":
        return [(x * 1.1, 0.7 * y, z + 0.2), (x * 1.2, 1.1 * r, z + 0.3), (x, 0.75 * r, z + 1.75)]
    z += 0.35 * g if pose.stance == "sit" else 0.1
    return [
        (x, y - 0.25 * g, z),
        (x * 1.05, 0.48 * y, z - 0.1 + 0.5 * swing),
        (x * 0.95, 0.75 * r, z + swing),
    ]


def _hind_leg(pose: Pose, hip: Vec, side: int, r: float, g: float, swing: float) -> list[Vec]:
    x, y, z = side * 0.55 * g, hip[1], hip[2]
    if pose.stance != "stand":
        return [(x * 1.4, 0.6 * y, z + 0.5), (x * 1.6, r, z + 0.4), (x * 1.6, 0.75 * r, z + 1.35)]
    return [
        (x, y - 0.2 * g, z - 0.1),
        (x, 0.52 * y, z + 0.15 - 0.6 * swing),
        (x, 0.28 * y, z - 0.45 - 0.8 * swing),
        (x, 0.75 * r, z - 0.25 - swing),
    ]


def _tail(rig: Rig, body: Body, pose: Pose, hip: Vec, rng: np.random.Generator) -> None:
    """Lay the tail along a curve of short limbs."""
    side, lift = rng.choice((-1, 1)), rng.uniform(-0.35, 0.8)
    s = np.linspace(0, 1, 7)[:, None]
    root = np.add(hip, (0, 0.35 * body.girth, -0.75 * body.girth))
    n = body.tail_length
    if body.tail == "curled":
        a = np.pi * (0.05 + 1.35 * s)
        curve = n * 0.3 * np.hstack([0.5 * side * s, np.sin(a) + 1.2 * s, np.cos(a) - 1])
        curve[:, 2] *= -0.8
    elif pose.stance == "stand":
        curve = n * np.hstack([0.3 * side * s**2, lift * s + 0.4 * s**3 - 0.25 * s, -0.75 * s])
    else:
        root[1] = 0.5 * body.girth
        down = np.maximum(-root[1] + 0.25, -0.9 * n * s)
        curve = np.hstack(
            [side * n * 0.55 * np.sin(2.4 * s), down, n * 0.4 * (1.6 * s**2 - 0.8 * s)]
        )
        if lift > 0.3 and body.tail != "curled":
            curve = n * np.hstack(
                [side * (0.35 * s + 0.2 * s**2), 0.9 * lift * s**2 - 0.1 * s, -0.3 * s]
            )
    joints = root + curve
    w = body.tail_width * (1 - 0.45 * s[:, 0])
    for i in range(6):
        rig.limb("tail", joints[i], joints[i + 1], w[i], w[i + 1], facing=(0.3, 0.2, 1), blend=0.12)
    rig.points["tail_tip"] = rig.world(joints[-1])


def _skull(rig: Rig, head: Head, pose: Pose) -> None:
    rig.ball("head", (0, 0.08, -0.05), (head.width, head.height, 0.95), 0.35)
    for side in (1, -1):
        c = head.cheek
        rig.ball("head", (side * 0.46 * head.width, -0.3, 0.28), (c, 0.92 * c, c), 0.35)
    root, tip = _muzzle_line(head)
    w = head.muzzle_width
    bridge = (0, root[1] + 0.55 * w, root[2] - 0.1)
    rig.limb(
        "muzzle",
        bridge,
        np.add(tip, (0, 0.28 * w, -0.25 * w)),
        0.75 * w,
        0.6 * w * head.taper,
        blend=0.3,
    )
    rig.limb(
        "muzzle", root, np.add(tip, (0, 0, -0.5 * w)), w, w * head.taper, 0.78, (0, 1, 0), 0.25
    )
    drop = 0.55 * w + 0.35 * pose.mouth
    jaw = np.add(tip, (0, -drop, -0.75 * w))
    rig.limb(
        "muzzle",
        (0, root[1] - 0.5 * w, root[2] - 0.3),
        jaw,
        0.62 * w,
        0.5 * w * head.taper,
        0.8,
        (0, 1, 0),
        0.08,
    )
    if head.pads:
        for side in (1, -1):
            at = (side * 0.62 * head.pads, tip[1] - 0.06, tip[2] - 0.75 * head.pads)
            rig.ball("muzzle", at, (head.pads, 0.82 * head.pads, 0.85 * head.pads), 0.1)
    if pose.mouth > 0.2:
        _tongue(rig, jaw, 0.4 * w, pose.mouth)


def _muzzle_line(head: Head) -> tuple[Vec, Vec]:
    root = (0, head.muzzle_y, 0.55)
    return root, (0, head.muzzle_y - 0.08 * head.muzzle, 0.92 + head.muzzle)


def _tongue(rig: Rig, jaw: np.ndarray, width: float, mouth: float) -> None:
    lip = np.add(jaw, (0, 0.28 * width + 0.1, 0.35))
    rig.limb("tongue", np.add(jaw, (0, 0.1, -0.2)), lip, width, width, 0.3, (0, 1, 0), 0.05)
    rig.limb(
        "tongue",
        lip,
        np.add(lip, (0, -0.6 * mouth, 0.12)),
        width,
        0.85 * width,
        0.3,
        (0, 0, 1),
        0.1,
    )


def _ears(rig: Rig, head: Head, pose: Pose) -> None:
    for side, word in ((1, "left"), (-1, "right")):
        tip = EARS[head.ear](rig, head, side, pose.ears)
        rig.points[f"{word}_ear"] = rig.world(tip)


def _pricked(rig: Rig, head: Head, side: int, turn_in: float) -> Vec:
    w, n = head.ear_width, head.ear_size
    base = np.array([side * head.ear_x * head.width, 0.62 * head.height, -0.12])
    tip = base + n * np.array([side * head.ear_lean, 1.0, 0.05 + 0.25 * min(turn_in, 0)])
    face = np.array([side * (0.35 - 0.25 * turn_in), -0.1, 1.0])
    rig.limb("ear", base, tip, w, 0.05, 0.42, face, 0.14)
    fore = 0.3 * w * face
    inner = 0.86 * (tip - base)
    rig.limb(
        "ear_hollow",
        base + fore + 0.1 * inner,
        base + 0.9 * fore + inner,
        0.72 * w,
        0.03,
        0.4,
        face,
        0.06,
        True,
    )
    return tip


def _round(rig: Rig, head: Head, side: int, turn_in: float) -> Vec:
    w = head.ear_width
    at = np.array([side * head.ear_x, 0.72 * head.height, -0.1])
    face = np.array([side * (0.3 - 0.2 * turn_in), 0, 1.0])
    up = np.add(at, (side * 0.3 * head.ear_size, 0.45 * head.ear_size, 0))
    rig.limb("ear", at, up, w, 0.95 * w, 0.5, face, 0.15)
    rig.limb(
        "ear_hollow",
        at + 0.4 * w * face,
        up + 0.42 * w * face,
        0.6 * w,
        0.62 * w,
        0.4,
        face,
        0.08,
        True,
    )
    return np.add(up, (side * 0.4 * w, 0.7 * w, 0))


def _floppy(rig: Rig, head: Head, side: int, turn_in: float) -> Vec:
    w, n = head.ear_width, head.ear_size
    top = np.array([side * 0.9 * head.ear_x * head.width, 0.5 * head.height, -0.1])
    bend = np.add(top, (side * 0.2, -0.12, 0.05 + 0.1 * turn_in))
    tip = bend + n * np.array([side * (0.14 + 0.1 * turn_in), -0.8, 0.18])
    rig.limb("ear", top, bend, 0.6 * w, 0.72 * w, 0.45, (side, 0.6, 0.2), 0.2)
    rig.limb("ear", bend, tip, 0.74 * w, 0.8 * w, 0.24, (side, 0.25, 0.45), 0.15)
    return np.add(tip, (0, -0.6 * w, 0))


def _folded(rig: Rig, head: Head, side: int, turn_in: float) -> Vec:
    w, n = head.ear_width, head.ear_size
    top = np.array([side * head.ear_x * head.width, 0.68 * head.height, 0.1])
    tip = top + n * np.array([side * 0.28, -0.65, 0.42 + 0.1 * turn_in])
    rig.limb("ear", top, tip, w, 0.16, 0.28, (side * 0.8, 0.4, 0.6), 0.12)
    return tip


EARS = {"pricked": _pricked, "round": _round, "floppy": _floppy, "folded": _folded}


def _face(rig: Rig, head: Head, pose: Pose, parts: list[Part]) -> None:
    """Set eyes and nose on the surface of the head as built so far."""
    solid = Solid(parts)
    for side, word in ((1, "left"), (-1, "right")):
        at = _surface(rig, solid, side * head.eye_x * head.width, head.eye_y)
        look = turn(side * (14 if head.pupil == "slit" else 20))
        centre = at + look @ np.array([0, 0, -0.72 * head.eye])
        rig.ball("eye", centre, (0.95 * head.eye,) * 3, 0.07)
        rig.frames[f"{word}_eye"] = (rig.rot @ look, rig.world(at))
        rig.points[f"{word}_eye"] = rig.world(centre + look @ np.array([0, 0, 0.95 * head.eye]))
    tip = _muzzle_line(head)[1]
    at = _surface(rig, solid, 0, tip[1] + 0.42 * head.muzzle_width)
    if head.nose_ball:
        r = head.nose_ball
        at = np.add(at, (0, 0.02, -0.35 * r))
        rig.ball("nose", at, (1.12 * r, 0.85 * r, 0.8 * r), 0.05)
        at = np.add(at, (0, 0, 0.8 * r))
    rig.frames["nose"] = (rig.rot, rig.world(at))
    rig.points["nose"] = rig.world(at)


def _surface(rig: Rig, solid: Solid, x: float, y: float) -> np.ndarray:
    """Find the front of the head at (x, y) of its own frame."""
    z = 3.5
    for _ in range(60):
        p = rig.world((x, y, z))[:, None].astype(np.float32)
        d = float(solid.distance(p)[0])
        z -= 0.8 * d
        if d < 1e-3:
            break
    return np.array([x, y, z])


def _anchored(rig: Rig, animal: Animal) -> Rig:
    """Shift everything so that the animal's anchor is the world's origin."""
    shift = -rig.frames["head"][1] if animal.anchor == "head" else np.zeros(3)
    rig.parts = [
        Part(p.name, p.a + shift, p.b + shift, p.ra, p.rb, p.frame, p.stretch, p.blend, p.carve)
        for p in rig.parts
    ]
    rig.points = {k: v + shift for k, v in rig.points.items()}
    rig.frames = {k: (r, o + shift) for k, (r, o) in rig.frames.items()}
    return rig
