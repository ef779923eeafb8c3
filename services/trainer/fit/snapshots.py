"""What a model makes while it is trained: a picture an epoch, as a file and in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from services.core.errors import InvalidArgument


class Snapshots(keras.callbacks.Callback):
    """Writes `epoch-0001.png`, ... into a folder, and the same as an image for TensorBoard; nothing for None."""

    def __init__(self, draw: Callable[[Any], bytes | None], folder: Path, board: Path) -> None:
        super().__init__()
        self._draw, self._folder, self._board = draw, folder, board

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draw, and keep."""
        picture = self._draw(self.model)
        if picture is None:
            return
        if not isinstance(picture, bytes):
            raise InvalidArgument(f"snapshot returns PNG bytes, or None. Received: {type(picture).__name__}")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"epoch-{epoch + 1:04}.png").write_bytes(picture)
        writer = tf.summary.create_file_writer(str(self._board / "snapshots"))
        with writer.as_default(step=epoch):
            tf.summary.image("snapshot", tf.io.decode_png(picture)[tf.newaxis])
        writer.close()
