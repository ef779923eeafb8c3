"""A few rows of a built-in plugin's data, and a variant trained on them for a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from plugins.contract import (
    Array,
    Config,
    Data,
    EvaluationProtocol,
    Plugin,
    Samples,
    Signature,
    Untrained,
)
from services.trainer.discovery import load_entry_point, plugin_names
from services.trainer.report.reporting import one_input
from tests.e2e.conftest import STARTERS

TRAIN, TEST = 160, 64  # rows
LARGE = 50_000  # numbers in a row, such as a photograph's: each takes a large network 0.1 s,
SLOW = ("frogs_gan",)  # and so does a small row here,
FEWER = 32  # so there are so many times fewer
PARTS = 5  # batches an epoch; and the part of the training rows that is validated on
SEED = 1
IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8")


# Their weights are on no mirror and in no package.
_OUT_OF_REACH = {("imagenet", "vgg16"), ("deep_dream", "inception_v3"), ("style_transfer", "vgg19")}


def _ends(name: str) -> set[str]:
    variants = [one for one in load_entry_point(BUILT_IN[name]).variants if (name, one) not in _OUT_OF_REACH]
    return {variants[0], variants[-1]}


def _untrained(name: str) -> bool:
    return isinstance(load_entry_point(BUILT_IN[name]).protocol, Untrained)


BUILT_IN = {name: point for name, point in plugin_names().items() if point.value.startswith("plugins.")}
VARIANTS = [(name, variant) for name, point in BUILT_IN.items() for variant in load_entry_point(point).variants]
EVERY_PLUGIN = pytest.mark.parametrize("name", BUILT_IN)
EVERY_VARIANT = pytest.mark.parametrize(("name", "variant"), VARIANTS)
# Each takes seconds to train. Those between differ in their network, which their plugin's own tests build.
FIRST_AND_LAST = pytest.mark.parametrize(("name", "variant"), [pair for pair in VARIANTS if pair[1] in _ends(pair[0])])
TAUGHT = [name for name in BUILT_IN if not _untrained(name)]
# The starters walk the whole road in tests/e2e, and so does a variant without training.
ROADS = [name for name in TAUGHT if name not in STARTERS]


def plugin_of(name: str) -> Plugin[Any]:
    """A built-in plugin."""
    return load_entry_point(BUILT_IN[name])


@dataclass(frozen=True)
class Trained:
    """One variant, built and trained for a few steps on a few rows."""

    plugin: Plugin[Any]
    config: Config
    data: Data
    first_weights: Sequence[Array]  # before training
    model: Any
    signatures: Mapping[str, Signature]
    seed: int = SEED  # that it was built with


def protocol_of(plugin: Plugin[Any], variant: str) -> EvaluationProtocol:
    return plugin.variants[variant].protocol or plugin.protocol


def few_rows(name: str, data: Data) -> Data:
    """As many as there may be, or are: an untrained plugin has none to learn from."""
    numbers = sum(map(np.size, tf.nest.flatten(one_input(data.test, 0))))
    fewer = FEWER if numbers > LARGE or name in SLOW else 1

    def few(samples: Samples, rows: int) -> Samples:
        return samples.take(np.arange(min(len(samples), rows // fewer)))

    return Data(few(data.train, TRAIN), few(data.test, TEST))
