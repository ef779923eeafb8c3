"""Many faces as one picture, and faces as the encoder sees them, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.canvas import sheets
from plugins.contract import Array
from plugins.faces_vae.data import SIDE
from plugins.pictures import GreyView
from plugins.studio import Studio

VIEW = GreyView(SIDE)


class Album(Studio):
    """A studio that also shows many faces at once."""

    def sheet(self, seed: Any, n: Any) -> Mapping[str, Any]:
        """n x n faces row by row, those of `seed`, `seed` + 1 and so on."""
        face = (SIDE, SIDE, 1)
        return {"image_bytes": sheets(lambda one: self.paint(self.point_of(one)[tf.newaxis])[0], face)(seed, n)}


def read(image_bytes: Any) -> Any:
    """A PNG or JPEG of any size, its middle square, to float32 [32, 32, 1] of 0 to 1."""
    return VIEW.read(image_bytes[tf.newaxis])[0, ..., tf.newaxis] / 255


def example_face() -> Array:
    """Nobody's: uint8 [32, 32], an oval with eyes, nose and a straight mouth."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    face = np.where((x / 0.85) ** 2 + (y / 1.1) ** 2 < 1, 180, 60).astype(np.uint8)
    face[9:12, 7:12] = face[9:12, 20:25] = 70
    face[12:19, 15:17] = 150
    face[23:25, 10:22] = 90
    return face
