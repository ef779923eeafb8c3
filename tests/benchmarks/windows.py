"""Windows of a series for training: the book's generator against ours: `python -m tests.benchmarks.windows`.

Both cut the same hourly windows of the same ten days from Beijing's weather, in batches of 128, and normalise nothing.
Prints samples a second, the best of several turns each, and their ratio. Needs TENSORGATE_DATASETS.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import tensorflow as tf

from plugins.jena_climate.data import TEST_SHARE, Windows, read_table
from plugins.jena_climate.gaps import fill_gaps
from plugins.jena_climate.model import ForecastConfig
from services.trainer.fit.batches import batches
from services.trainer.sources.datasets import DatasetFetcher
from tests.benchmarks.listings import generator

BATCH = 128
BATCHES, TURNS = 300, 5


def rate(source: Iterator[Any]) -> float:
    """Samples a second over the next batches."""
    next(source)
    began = time.perf_counter()
    samples = sum(len(targets) for _, targets in islice(source, BATCHES))
    return samples / (time.perf_counter() - began)


def main() -> None:
    """Measure both in turn, on the same rows."""
    config = ForecastConfig(batch_size=BATCH)
    with tempfile.TemporaryDirectory() as cache:
        datasets = DatasetFetcher(Path(cache), os.environ.get("TENSORGATE_DATASETS", ""), print)
        table = read_table(config, datasets)
    rows, cut = fill_gaps(tf.constant(table.rows)).numpy(), round(len(table.rows) * (1 - TEST_SHARE))
    train = Windows(table, config).between(0, cut)
    lookback, delay = config.lookback, config.horizon - 1  # the book counts from the row after the window
    book, ours = [], []
    for _ in range(TURNS):
        book.append(rate(generator(rows, lookback, delay, 0, cut, True, BATCH, 1, table.target)))
        ours.append(rate(batches(train, config, 1, range(10**6)).as_numpy_iterator()))
    print(f"{len(table.columns)} columns, {lookback} rows a window")
    print(f"book's generator {max(book):9.0f} samples/s")
    print(f"tf.data windows  {max(ours):9.0f} samples/s")
    print(f"ratio            {max(ours) / max(book):9.1f}")


if __name__ == "__main__":
    main()
