"""The part of a model that training leaves alone: run once, and what comes out is kept for a run that is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from plugins.contract import Array, Samples

_BATCH = 32  # rows; a frozen part is large
_PIECE = 500  # rows that are lost at most


def features(frozen: Any, samples: Samples, folder: Path) -> Array:
    """What comes out of `frozen`, row by row; `folder` keeps each piece of it when it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(samples), _PIECE)
    return np.concatenate([_piece(frozen, samples, start, folder / f"{start}.npy") for start in starts])


def _piece(frozen: Any, samples: Samples, start: int, kept: Path) -> Array:
    if not kept.exists():
        rows = np.arange(start, min(start + _PIECE, len(samples)))
        new = kept.with_suffix(".new")
        with new.open("wb") as file:
            np.save(file, frozen.predict(samples.take(rows).in_order(_BATCH), verbose=0))
        new.replace(kept)
    return np.load(kept)
