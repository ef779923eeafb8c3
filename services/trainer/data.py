"""A plugin's data as it is trained on: loaded, and found to be rows of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.contract import Array, Columns, Config, Data, Datasets, Plugin, Samples
from services.core.errors import InvalidArgument, received
from services.trainer.faults import told


@dataclass(frozen=True)
class Part:
    """Samples, and what they are called: train, validation or test."""

    name: str
    samples: Samples

    def __str__(self) -> str:
        columns = ", ".join(f"{name} {column.dtype} {list(column.shape)}" for name, column in _columns(self.samples))
        return f"{self.name} with {columns}"


def load(plugin: Plugin[Any], config: Config, datasets: Datasets) -> Data:
    """The plugin's data, with as many training samples as the config asks for. Raises InvalidArgument."""
    with told(plugin, f"load_data of plugin {plugin.name} returns Data"):
        data = plugin.load_data(config, datasets)
    for one, kind in (data, Data), (getattr(data, "train", None), Samples), (getattr(data, "test", None), Samples):
        if not isinstance(one, kind):
            given = type(one).__name__
            raise InvalidArgument(f"load_data returns Data(train=Samples(...), test=Samples(...)). Received: {given}")
    for part in parts_of(data):
        _check(part)
    return fewer(data, config)


def parts_of(data: Data) -> tuple[Part, Part]:
    """Train and test."""
    return Part("train", data.train), Part("test", data.test)


def fewer(data: Data, config: Config) -> Data:
    """The data with as many training samples as the config asks for, in their order; the test split stays whole."""
    if config.samples is None or config.samples >= len(data.train):
        return data
    drawn = np.random.default_rng(config.rows_seed).choice(len(data.train), config.samples, replace=False)
    return Data(train=data.train.take(np.sort(drawn)), test=data.test)


def gaps(data: Data) -> Iterator[str]:
    """A sentence for each column of inputs with numbers that are missing: a model may fill them, or not."""
    for part in parts_of(data):
        for name, column in _named("inputs", part.samples.inputs):
            if (row := _first_missing(column)) is not None:
                yield f"{name} of {part.name} have NaN, first in row {row}: a model that fills no gaps learns nothing"


def _check(part: Part) -> None:
    columns = [*_columns(part.samples)]
    for name, column in columns:
        _check_array(column, f"{name} of {part.name}")
    if len({len(column) for _, column in columns}) > 1:
        rows = ", ".join(f"{len(column)} {name}" for name, column in columns)
        raise InvalidArgument(f"load_data gives Samples with a row in every array. Received: {rows} in {part.name}")
    for name, column in _named("targets", part.samples.targets):
        if (row := _first_missing(column)) is not None:
            place = f"row {row} of {name} of {part.name}"
            raise InvalidArgument(f"load_data gives targets that are numbers. Received: NaN first in {place}")


def _check_array(column: Any, name: str) -> None:
    if not isinstance(column, np.ndarray) or not column.ndim:
        kind = type(column).__name__
        raise InvalidArgument(f"load_data gives Samples of NumPy arrays, rows first. Received: {kind} as {name}")
    if column.dtype == object and column.size and not isinstance(column.flat[0], str | bytes):
        raise InvalidArgument(
            "An array of objects has texts or bytes; numbers have a dtype such as float32, and rows of one length. "
            f"Received: {received(column.flat[0])} first in {name}"
        )


def _first_missing(column: Array) -> int | None:
    if column.dtype.kind != "f" or not np.isnan(column.min(initial=0)):
        return None
    return int(np.argwhere(np.isnan(column))[0][0])


def _columns(samples: Samples) -> Iterator[tuple[str, Array]]:
    yield from _named("inputs", samples.inputs)
    yield from _named("targets", samples.targets)


def _named(what: str, columns: Columns) -> Iterator[tuple[str, Array]]:
    if not isinstance(columns, Mapping):
        yield what, columns
        return
    for name, column in columns.items():
        yield from _named(f"{what} {name}", column)
