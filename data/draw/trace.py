"""Solids as signed distances, and a camera that marches rays onto them.

A part is a tapered capsule in a stretched frame, so one formula covers balls, ellipsoids, cones
and flat ears. Parts melt into each other through a smooth minimum. Distance formulas, smooth
minimum and occlusion estimate follow Inigo Quilez (iquilezles.org/articles/distfunctions, /smin);
marching: Hart, "Sphere tracing", The Visual Computer 12 (1996).

World axes: x to the right, y up, z towards the viewer. Lengths are in head radii.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHUNK = 4096  # points per batch: keeps the work arrays in cache


@dataclass(frozen=True)
class Part:
    """A tapered capsule from `a` to `b`, stretched by `stretch` along the columns of `frame`."""

    name: str
    a: np.ndarray  # (3,)
    b: np.ndarray  # (3,)
    ra: float
    rb: float
    frame: np.ndarray  # (3, 3); the last column points from a to b
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blend: float = 0.2  # width of the seam to what came before
    carve: bool = False  # cut away instead of added


class Solid:
    """Parts ready for evaluation: `distance`, `nearest`, `normal` at points (3, N)."""

    def __init__(self, parts: list[Part]):
        """Stack the parts' frames into one matrix."""
        self.parts = parts
        s = np.array([p.stretch for p in parts], np.float32)
        self.s = s[:, :, None]
        m = np.stack([p.frame.T for p in parts]).astype(np.float32) / self.s
        self.m = m.reshape(-1, 3)
        self.c = -np.einsum("pij,pj->pi", m, np.array([p.a for p in parts])).astype(np.float32)
        length = [np.linalg.norm(p.b - p.a) for p in parts]
        self.length = (np.array(length, np.float32) / s[:, 2])[:, None]
        self.ra = np.array([p.ra for p in parts], np.float32)[:, None]
        self.rb = np.array([p.rb for p in parts], np.float32)[:, None]
        self.added = np.array([i for i, p in enumerate(parts) if not p.carve])

    def local(self, p: np.ndarray) -> np.ndarray:
        """Return points (3, N) in every part's own frame: (P, 3, N)."""
        return (self.m @ p).reshape(-1, 3, p.shape[1]) + self.c[:, :, None]

    def each(self, p: np.ndarray) -> np.ndarray:
        """Return the signed distance to every part, (P, N)."""
        q = self.local(p)
        along = np.clip(q[:, 2], 0, self.length)
        q[:, 2] -= along
        radius = self.ra + (self.rb - self.ra) * along / np.maximum(self.length, 1e-6)
        norm = np.sqrt(np.einsum("pin,pin->pn", q, q)) + 1e-6
        q /= self.s
        return (norm - radius) * norm / (np.sqrt(np.einsum("pin,pin->pn", q, q)) + 1e-6)

    def melt(self, each: np.ndarray) -> np.ndarray:
        """Join the distances (P, N) into one (N,) by smooth minimum and smooth cut."""
        total = each[0].copy()
        for part, d in zip(self.parts[1:], each[1:], strict=True):
            k = part.blend
            sign = -1 if part.carve else 1
            total *= sign
            seam = np.maximum(k - np.abs(total - d), 0)
            total = sign * (np.minimum(total, d) - seam * seam * (0.25 / k))
        return total

    def distance(self, p: np.ndarray) -> np.ndarray:
        """Return the signed distance (N,) to the whole solid at points (3, N)."""
        chunks = [self.melt(self.each(p[:, i : i + CHUNK])) for i in range(0, p.shape[1], CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)

    def nearest(self, p: np.ndarray) -> np.ndarray:
        """Return the index of the part that each point (3, N) belongs to."""
        chunks = [
            self.added[np.argmin(self.each(p[:, i : i + CHUNK])[self.added], 0)]
            for i in range(0, p.shape[1], CHUNK)
        ]
        return np.concatenate(chunks) if chunks else np.zeros(0, int)

    def normal(self, p: np.ndarray, eps: float = 0.02) -> np.ndarray:
        """Return unit normals (3, N): differences over a tetrahedron of four samples."""
        corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
        n = sum(c[:, None] * self.distance(p + eps * c[:, None]) for c in corners)
        return n / (np.linalg.norm(n, axis=0) + 1e-9)


@dataclass(frozen=True)
class Camera:
    """A pinhole at z = `away`; the plane z = 0 maps to pixels by `scale` about (`cx`, `cy`)."""

    cx: float
    cy: float
    scale: float  # pixels per head radius at z = 0
    away: float

    def project(self, p: np.ndarray) -> np.ndarray:
        """Map points (3, N) to pixels (2, N), x to the right and y downwards."""
        grow = self.scale * self.away / (self.away - p[2])
        return np.stack([self.cx + p[0] * grow, self.cy - p[1] * grow])

    def rays(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return unit directions (3, N) through pixels."""
        d = np.stack([(x - self.cx) / self.scale, (self.cy - y) / self.scale, 0 * x - self.away])
        return (d / np.linalg.norm(d, axis=0)).astype(np.float32)


def march(
    eye: np.ndarray, rays: np.ndarray, solid: Solid, near: np.ndarray, far: float, spread: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Walk every ray (3, N) from `near` (N,) until it touches; return (travelled, hit), both (N,).

    With `spread`, a ray is a cone of that radius per unit travelled.
    """
    t = near.astype(np.float32)
    hit = np.zeros(rays.shape[1], bool)
    alive = np.arange(rays.shape[1])
    for _ in range(48):
        if not len(alive):
            break
        d = solid.distance(eye + rays[:, alive] * t[alive]) - spread * t[alive]
        touched = d < 0.008
        hit[alive[touched]] = True
        t[alive] += np.where(touched, 0, np.maximum(d * 0.9, 0.008))
        alive = alive[~touched & (t[alive] < far)]
    return t, hit


def look(
    solid: Solid, camera: Camera, width: int, height: int, block: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels x, y (N,) that show the solid and the points (3, N) they show.

    Cones through blocks of pixels go ahead and tell the rays where to start.
    """
    eye = np.array([0, 0, camera.away], np.float32)[:, None]
    ends = np.concatenate([[p.a[2], p.b[2]] for p in solid.parts])
    near, far = camera.away - ends.max() - 2.5, camera.away - ends.min() + 4
    by, bx = (a.ravel() for a in np.mgrid[0:height:block, 0:width:block])
    cones = camera.rays(bx + block / 2, by + block / 2)
    spread = 0.8 * block / (camera.scale * camera.away)
    start, seen = march(eye, cones, solid, np.full(len(bx), near), far, spread)
    dy, dx = (a.ravel()[:, None] for a in np.mgrid[0:block, 0:block])
    x, y, t = (a.ravel() for a in np.broadcast_arrays(bx[seen] + dx, by[seen] + dy, start[seen]))
    inside = (x < width) & (y < height)
    x, y, t = x[inside], y[inside], t[inside]
    rays = camera.rays(x + 0.5, y + 0.5)
    t, hit = march(eye, rays, solid, t, far)
    return x[hit], y[hit], eye + rays[:, hit] * t[hit]
