"""The batches that a model learns from: how many, which samples in which, and for which device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import EVALUATION_BATCH, Config, Samples

_MOST_STEPS_AT_ONCE = 32


@dataclass(frozen=True)
class Share:
    """Which devices' part of each batch: every `of`-th, from `number` on."""

    number: int
    of: int


def steps_at_once(steps: int) -> int:
    """How many of an epoch's steps are run by one call: Keras spends a millisecond or more of Python on each call.

    A divisor, because a call does not stop where an epoch ends.
    """
    return max(number for number in range(1, _MOST_STEPS_AT_ONCE + 1) if steps % number == 0)


def steps_of(samples: Samples, config: Config) -> int:
    """Batches of an epoch: a pass over the samples, or fewer if the config says so."""
    whole = _steps_of_a_pass(samples, config)
    return min(whole, config.steps_per_epoch or whole)


def _rows_of_a_pass(samples: Samples, config: Config) -> int:
    """All but those that would make the last batch one that cannot be divided evenly among the devices."""
    return len(samples) - len(samples) % config.devices


def _steps_of_a_pass(samples: Samples, config: Config) -> int:
    return -(-_rows_of_a_pass(samples, config) // config.batch_size)


def batches(samples: Samples, config: Config, seed: int, epochs: range) -> Any:
    """(what the model takes, targets) by the batch, epoch after epoch; each pass is shuffled by (seed, pass) alone.

    A pass is an epoch, or several (`steps_per_epoch`).
    """
    return _taken(_rows(samples, config, seed, epochs), samples)


def shared_batches(samples: Samples, config: Config, seed: int, epochs: range, share: Share) -> Any:
    """The same, each batch cut into as many parts of one size as there are devices; those of the share's devices."""

    def parts(rows: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices(tf.reshape(rows, (config.devices, -1)))

    order = _rows(samples, config, seed, epochs)
    return _taken(order.flat_map(parts).shard(share.of, share.number), samples)


def evaluation_steps(samples: Samples) -> int:
    """Batches of a pass without training."""
    return -(-len(samples) // EVALUATION_BATCH)


def shared_evaluation(samples: Samples, config: Config, share: Share) -> Any:
    """All samples once, in as many parts for each device; those of the share's devices.

    Parts differ by a row at most, and none is empty: there are convolutions that cannot take nothing.
    """
    parts = evaluation_steps(samples) * config.devices
    cuts = np.arange(parts + 1) * len(samples) // parts
    order = tf.data.Dataset.from_tensor_slices((cuts[:-1], cuts[1:])).map(tf.range)
    return _taken(order.shard(share.of, share.number), samples)


def weighed(batches: Any, weights: Mapping[int, float]) -> Any:
    """(inputs, targets, how much each sample counts in the loss), by the class number that is its target."""
    table = tf.constant([weights.get(number, 1.0) for number in range(max(weights) + 1)])

    def weigh(inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
        return inputs, targets, tf.gather(table, tf.reshape(tf.cast(targets, tf.int32), [-1]))

    return batches.map(weigh)


def _rows(samples: Samples, config: Config, seed: int, epochs: range) -> Any:
    """The row numbers of each batch."""
    steps, of_a_pass = steps_of(samples, config), _steps_of_a_pass(samples, config)
    first, end = epochs.start * steps, epochs.stop * steps

    def shuffled(number: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(samples)), seed=tf.stack([seed, number]))
        rows = order[: _rows_of_a_pass(samples, config)]
        return tf.data.Dataset.from_tensor_slices(rows).batch(config.batch_size)

    passes = tf.data.Dataset.range(first // of_a_pass, -(-end // of_a_pass), output_type=tf.int32)
    return passes.flat_map(shuffled).skip(first % of_a_pass).take(end - first)


def _taken(order: Any, samples: Samples) -> Any:
    """What lies at these row numbers, read."""
    columns = tf.nest.map_structure(tf.constant, (samples.inputs, samples.targets))
    read = samples.read or (lambda inputs: inputs)

    def take(rows: Any) -> tuple[Any, Any]:
        inputs, targets = tf.nest.map_structure(lambda column: tf.gather(column, rows), columns)
        return read(inputs), targets

    return order.map(take, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
