"""Nobody's faces: drawn with a few numbers each, for who has no photographs of people who agreed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from plugins.contract import Array

COUNT = 4000
_SOFT = 24.0  # how fast an edge falls from one shade to the other: within about a pixel of 2/32


def draw(count: int, seed: int) -> Mapping[str, Array]:
    """`x` uint8 [count, 32, 32] and `y` int32 [count]: 1 where the corners of the mouth go up."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, count).astype(np.int32)

    def some(low: float, high: float) -> Array:
        return random.uniform(low, high, (count, 1, 1))

    down, right = np.mgrid[-1:1:32j, -1:1:32j].astype(np.float32)
    right, down = right + some(-0.12, 0.12), down + some(-0.1, 0.1)
    right, down = right + down * (lean := some(-0.12, 0.12)), down - right * lean
    picture = np.broadcast_to(some(0.02, 0.5), (count, 32, 32)).copy()
    over = _painter(picture)
    skin, wide, long = some(0.5, 0.95), some(0.55, 0.78), some(0.8, 0.98)
    over(1.15 - np.hypot(right / wide, (down + 0.12) / long), some(0.03, 0.6))  # hair
    over(np.minimum(1 - np.hypot(right / wide, down / long), down + some(0.4, 0.65)), skin)
    for side in (-1, 1):
        _eye(over, right - side * wide * 0.45, down + 0.12, some)
    over(np.minimum(0.05 - np.abs(right), np.minimum(down + 0.05, 0.28 - down)), skin * some(0.75, 0.9))  # nose
    _mouth(over, right / some(0.24, 0.38), down - some(0.46, 0.54), y.reshape(-1, 1, 1), some)
    picture += random.normal(0, 0.015, picture.shape)
    return {"x": (picture.clip(0, 1) * 255).astype(np.uint8), "y": y}


Over = Callable[[Array, Array], None]
Some = Callable[[float, float], Array]


def _painter(picture: Array) -> Over:
    def over(inside: Array, shade: Array) -> None:
        """Where `inside` is above 0, with a soft edge."""
        cover = (inside * _SOFT + 0.5).clip(0, 1)
        picture[...] = picture * (1 - cover) + shade * cover

    return over


def _eye(over: Over, right: Array, down: Array, some: Some) -> None:
    over(0.14 - np.hypot(right, down * some(1.3, 2.2)), some(0.9, 1.0))
    over(0.075 - np.hypot(right - some(-0.03, 0.03), down), some(0.0, 0.25))
    over(0.035 - np.abs(down + some(0.16, 0.24)) - np.maximum(np.abs(right) - 0.15, 0), some(0.05, 0.4))  # brow


def _mouth(over: Over, right: Array, down: Array, smiles: Array, some: Some) -> None:
    """A parabola: its corners up and teeth between its lips, or level, or a little down."""
    bent = np.where(smiles, some(0.14, 0.26), some(-0.1, 0.02))
    lip = down - bent * (0.6 - right**2)
    within = 1 - np.abs(right)
    over(np.minimum(0.045 - np.abs(lip), within), some(0.1, 0.35))
    teeth = np.minimum(np.minimum(-lip, down + bent * 0.35), within)
    over(np.where(smiles, teeth - 0.02, -1), some(0.85, 1.0))
