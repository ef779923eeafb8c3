"""How a model computes while it trains: by kernels that sum in one order, by XLA, in 32 bits or in 16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

# TensorFlow has a public switch for on only.
from tensorflow.python.framework.config import disable_op_determinism

from plugins.contract import Config


def make_deterministic(config: Config) -> None:
    """Same seed, same metrics to the last digit: one source of random numbers, and kernels that sum in one order.

    XLA knows no such order, so a run that asks for it has the random numbers only.
    """
    keras.utils.set_random_seed(config.seed)
    if config.jit_compile:
        disable_op_determinism()
    else:
        tf.config.experimental.enable_op_determinism()


@contextmanager
def precision(config: Config) -> Iterator[None]:
    """Models that are built here compute in 16 bits, if asked, and keep their weights in 32.

    In bfloat16 on a processor, which has no float16 to speak of; a GPU has.
    """
    if not config.mixed_precision:
        yield
        return
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
