"""Directions in a latent space by name: what a picture gains when it gains a smile (book 8.4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

MEMORY = 0.99  # of what was counted, that a training batch leaves: some hundred batches count


class Concepts(keras.layers.Layer):
    """A vector for each name: the mean latent point of a class's pictures minus the mean of all other pictures.

    The means are those of training pictures' z_mean in the last hundred batches or so. Like batch normalisation's they
    are weights that are not trained, so the weights of an epoch have the vectors of that epoch.
    """

    def __init__(self, classes: Mapping[str, int], numbers: int, **settings: Any) -> None:
        super().__init__(trainable=False, **settings)
        self.classes = dict(classes)
        count = len(self.classes)
        # Row 0 is of the pictures with the concept, row 1 of those without.
        self.sums = self.add_weight(shape=(2, count, numbers), initializer="zeros", name="sums")
        self.counts = self.add_weight(shape=(2, count, 1), initializer="zeros", name="counts")
        self.built = True  # by these weights: it is asked for vectors, never called

    def learn(self, z_mean: Any, classes: Any) -> None:
        """Count a training batch: latent points [N, numbers] of pictures of these classes [N]."""
        known = ops.convert_to_tensor(list(self.classes.values()), "int32")
        member = ops.cast(ops.equal(ops.reshape(ops.cast(classes, "int32"), (-1, 1)), known), "float32")
        members = ops.stack([member, 1 - member])
        sums = ops.matmul(ops.transpose(members, (0, 2, 1)), ops.cast(z_mean, "float32"))
        self.sums.assign(MEMORY * self.sums + sums)
        self.counts.assign(MEMORY * self.counts + ops.expand_dims(ops.sum(members, axis=1), -1))

    def vectors(self) -> Any:
        """float32 [concepts, numbers], in the order of `classes`; zeros for a concept that no batch has had."""
        with_, without = ops.unstack(self.sums / ops.maximum(self.counts, 1e-6))
        seen = ops.all(self.counts > 0, axis=0)
        return ops.where(seen, with_ - without, 0.0)
