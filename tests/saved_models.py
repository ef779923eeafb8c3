"""Tiny real SavedModels."""

from __future__ import annotations

from pathlib import Path


def write_affine(folder: Path, slope: float, offset: float) -> Path:
    """`serving_default`: x float32 [N] to y = slope * x + offset."""
    import tensorflow as tf  # five seconds: only for tests that need a model

    class Affine(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = tf.Variable(slope)
            self.offset = tf.Variable(offset)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": self.slope * x + self.offset}

    module = Affine()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder
