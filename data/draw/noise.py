"""Hash-based value noise: the same numbers on every machine, at any point, without a table."""

from __future__ import annotations

import numpy as np

PRIMES = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)


def _scramble(h: np.ndarray) -> np.ndarray:
    """Turn uint32 sums of coordinates into numbers in [0, 1)."""
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    return ((h ^ (h >> np.uint32(15))) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _key(cells: np.ndarray, seed: int) -> np.ndarray:
    """Fold integer cells (..., D) into one uint32 each; neighbours differ by a prime."""
    key = (cells.astype(np.int32).view(np.uint32) * PRIMES[: cells.shape[-1]]).sum(-1, np.uint32)
    return key + np.uint32((seed * 2654435761 + 97) & 0xFFFFFFFF)


def hash01(cells: np.ndarray, seed: int) -> np.ndarray:
    """Map integer lattice cells (..., D) to numbers in [0, 1), shape (...)."""
    return _scramble(_key(cells, seed))


def value_noise(points: np.ndarray, seed: int) -> np.ndarray:
    """Smooth noise in [-1, 1] at points (..., D): lattice values, smoothstep between them."""
    points = points.astype(np.float32)
    cell = np.floor(points)
    w = points - cell
    w = w * w * (3 - 2 * w)
    key = _key(cell, seed)
    corners = [key]
    for prime in PRIMES[: points.shape[-1]]:
        corners += [c + prime for c in corners]
    values = [_scramble(c) for c in corners]
    for axis in reversed(range(points.shape[-1])):
        half = len(values) // 2
        low, high = values[:half], values[half:]
        values = [a + (b - a) * w[..., axis] for a, b in zip(low, high, strict=True)]
    return 2 * values[0] - 1


def fbm(points: np.ndarray, seed: int, octaves: int = 3) -> np.ndarray:
    """Sum noise over octaves (fractional Brownian motion), about [-1, 1]."""
    return sum(
        value_noise(points * 2.03**o, seed + 17 * o) * 0.5 ** (o + 0.6) for o in range(octaves)
    )


def cellular(points: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest jittered lattice point, and that point's random number, at (N, 3).

    Worley, "A cellular texture basis function", SIGGRAPH 1996.
    """
    cell = np.floor(points).astype(np.int64)
    best = np.full(len(points), 9.0, np.float32)
    ident = np.zeros(len(points), np.float32)
    for shift in np.ndindex(3, 3, 3):
        c = cell + np.array(shift) - 1
        jitter = np.stack([hash01(c, seed + k) for k in range(3)], -1)
        d = np.linalg.norm(c + 0.15 + 0.7 * jitter - points, axis=-1)
        closer = d < best
        best[closer], ident[closer] = d[closer], hash01(c, seed + 9)[closer]
    return best, ident


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
