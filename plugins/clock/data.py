"""Clocks, drawn: no two alike in place, size and shade, and their hands at every minute of twelve hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugins.contract import Array, Data, Samples

SIDE = 64  # pixels
TIMES = 12 * 60  # minutes past 12
TRAIN, TEST = 10_000, 2_000  # clocks
LENGTHS = (0.5, 0.85)  # of the hour hand and the minute hand, in radii of the face
WIDTHS = (3.0, 2.0)  # pixels
TICK = 0.88  # radii from the centre, where the twelve marks begin
LABELS = tuple(f"{time // 60 or 12}:{time % 60:02}" for time in range(TIMES))
_AT_ONCE = 50  # clocks drawn together: they fit in a processor's cache


@dataclass(frozen=True)
class Clocks:
    """N clocks: minutes past 12 int64 [N], the centre's whole pixel [N, 2] (x, y), radius in pixels [N]."""

    times: Array
    centres: Array
    radii: Array
    shades: Array  # float32 [N, 2]: grey level of paper and ink

    def some(self, rows: slice) -> Clocks:
        """These rows."""
        return Clocks(self.times[rows], self.centres[rows], self.radii[rows], self.shades[rows])


def invent(count: int, seed: int) -> Clocks:
    """So many clocks, the same for the same seed; all times are as likely."""
    random = np.random.default_rng(seed)
    return Clocks(
        times=random.integers(0, TIMES, count),
        centres=random.integers(SIDE // 2 - 3, SIDE // 2 + 4, (count, 2)),
        radii=random.uniform(22, 28, count).astype(np.float32),
        shades=random.uniform((180, 0), (255, 90), (count, 2)).astype(np.float32),
    )


def angles_of(times: Array) -> Array:
    """Where the hour hand and the minute hand point, in degrees clockwise from 12, [N, 2]."""
    return np.stack([times / 2, times % 60 * 6], axis=1)


def directions(angles: Array) -> Array:
    """Unit vectors (x to the right, y up) [..., 2] of angles in degrees clockwise from 12."""
    radians = np.deg2rad(angles)
    return np.stack([np.sin(radians), np.cos(radians)], axis=-1)


def tips_of(clocks: Clocks) -> Array:
    """The tips of the hour hand and the minute hand as they are found in a picture, to the whole pixel.

    float32 [N, 4]: x and y of each, in radii from the centre, x to the right, y up.
    """
    radii = clocks.radii[:, None, None]
    tips = directions(angles_of(clocks.times)) * np.array(LENGTHS)[:, None] * radii
    return (np.round(tips) / radii).reshape(-1, 4).astype(np.float32)


def measured_angles(tips: Array) -> Array:
    """The same as polar angles (book 4.3.2): of tips [N, 4] the degrees clockwise from 12, 0 to 360, float32 [N, 2]."""
    x, y = tips[:, 0::2], tips[:, 1::2]
    return (np.rad2deg(np.arctan2(x, y)) % 360).astype(np.float32)


def draw(clocks: Clocks) -> Array:
    """Pictures uint8 [N, 64, 64]: a rim, twelve marks and two hands, dark on light."""
    starts = range(0, len(clocks.times), _AT_ONCE)
    return np.concatenate([_draw(clocks.some(slice(start, start + _AT_ONCE))) for start in starts])


def _draw(clocks: Clocks) -> Array:
    grid, centres = np.arange(SIDE, dtype=np.float32), clocks.centres.astype(np.float32)
    x = grid[None, None, :] - centres[:, 0, None, None]
    y = centres[:, 1, None, None] - grid[None, :, None]
    radii = clocks.radii[:, None, None]
    distance, angle = _length(x, y), np.arctan2(x, y)
    from_mark = np.abs(distance * np.sin((angle + np.pi / 12) % (np.pi / 6) - np.pi / 12))
    mark = np.minimum(_covered(from_mark, 1), (distance > TICK * radii) & (distance <= radii))
    ink = np.maximum(mark, _covered(np.abs(distance - radii), 1))
    pointing = directions(angles_of(clocks.times)).astype(np.float32)
    for hand, (length, width) in enumerate(zip(LENGTHS, WIDTHS, strict=True)):
        along_x, along_y = pointing[:, hand, 0, None, None], pointing[:, hand, 1, None, None]
        along = np.clip(x * along_x + y * along_y, 0, length * radii)
        ink = np.maximum(ink, _covered(_length(x - along * along_x, y - along * along_y), width))
    paper, dark = clocks.shades[:, 0, None, None], clocks.shades[:, 1, None, None]
    return np.round(paper + (dark - paper) * ink).astype(np.uint8)


def _length(x: Array, y: Array) -> Array:
    return np.sqrt(x * x + y * y)  # np.hypot, which minds overflow, takes three times as long


def _covered(distance: Array, width: float) -> Array:
    """How much of a pixel so far from the middle of a line of that width is ink, 0 to 1."""
    return np.clip(width / 2 + 0.5 - distance, 0, 1)


def load(features: str) -> Data:
    """What is known of each clock: `pixels` [N, 64, 64], `hand_tips` [N, 4] or `angles` [N, 2]; the time's number."""
    return Data(train=_samples(invent(TRAIN, 1), features), test=_samples(invent(TEST, 2), features))


def _samples(clocks: Clocks, features: str) -> Samples:
    if features == "pixels":
        return Samples(draw(clocks), clocks.times)
    tips = tips_of(clocks)
    return Samples(tips if features == "hand_tips" else measured_angles(tips), clocks.times)
