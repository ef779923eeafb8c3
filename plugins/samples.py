"""Rows of data, as plugins return them and the trainer cuts, shuffles and batches them; part of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Columns = Any  # an Array, or a mapping of them by the name of the model's input or output; rows first


@dataclass(frozen=True)
class Samples:
    """Inputs and targets, row by row; `targets` may be the inputs themselves (an autoencoder).

    `read` makes a batch of `inputs` into what the model takes, traced by TensorFlow: windows of a series from where
    they begin, pictures from files. Without it the model takes the inputs as they are.
    `assets` are what building a model needs and no row has: pretrained weights, word vectors.
    """

    inputs: Columns
    targets: Columns
    read: Callable[[Any], Any] | None = None
    assets: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())) if isinstance(self.inputs, Mapping) else self.inputs)

    def take(self, rows: Array) -> Samples:
        """The samples at these row numbers, in this order."""
        return replace(self, inputs=_rows(self.inputs, rows), targets=_rows(self.targets, rows))

    def in_order(self, batch_size: int) -> Any:
        """A `tf.data.Dataset` of batches of (what the model takes, targets), row after row."""
        import tensorflow as tf  # here, so that listing plugins stays quick

        batches = tf.data.Dataset.from_tensor_slices((self.inputs, self.targets)).batch(batch_size)
        if self.read is not None:
            read = self.read
            batches = batches.map(lambda inputs, targets: (read(inputs), targets), num_parallel_calls=tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)


@dataclass(frozen=True)
class Data:
    """What `load_data` returns. The trainer cuts validation out of `train`; `test` is touched once, at the end."""

    train: Samples
    test: Samples


def _rows(columns: Columns, rows: Array) -> Columns:
    if isinstance(columns, Mapping):
        return {name: column[rows] for name, column in columns.items()}
    return columns[rows]
