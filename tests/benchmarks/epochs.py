"""Seconds an epoch, ours against the book's code: `python -m tests.benchmarks.epochs` writes docs/benchmarks.md.

Both start from the same samples in memory (photographs: JPEG files for the book, as its code wants them) and take
batches of the same size. All that a person waits for counts: preparation, tracing, training; ours also writes its logs
and checkpoints. Each turn is a process of its own, so that neither side finds anything warm; the best turn counts.
Needs TENSORGATE_DATASETS. `python -m tests.benchmarks.epochs CASE SIDE` is one turn, and prints its seconds an epoch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console

from plugins.cats_vs_dogs.data import PHOTOGRAPHS
from plugins.contract import Array, Samples
from plugins.imdb.data import REVIEWS
from plugins.jena_climate.data import read_table
from plugins.jena_climate.gaps import fill_gaps
from services.trainer.configuration import resolve_config
from services.trainer.discovery import load_plugin
from services.trainer.fit.fitting import fit
from services.trainer.fit.precision import make_deterministic
from services.trainer.fit.recipe import Recipe, Stage
from services.trainer.progress import PlainProgress
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import metric_record
from services.trainer.sources.datasets import DatasetFetcher
from tests.benchmarks import listings
from tests.benchmarks.page import table, write_section

TURNS = 2
SWITCHES = {"jit_compile": ("jit_compile=true",), "mixed_precision": ("mixed_precision=true",)}
SWITCHED = "mnist/convnet"


@dataclass(frozen=True)
class Case:
    """One network: how many samples and epochs, and how the book trains it on samples of ours.

    `own` prepares what the book starts from, outside the time that is taken.
    """

    plugin: str
    variant: str
    section: str
    samples: int
    epochs: int
    batch: int
    own: Callable[[Samples, DatasetFetcher, Path], Any]
    book: Callable[[Any, Case], Any]
    note: str = ""

    @property
    def name(self) -> str:
        """As `tensorgate reproduce` calls it."""
        return f"{self.plugin}/{self.variant}"

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.samples // self.batch)


def as_they_are(train: Samples, datasets: DatasetFetcher, folder: Path) -> Any:
    """Inputs and targets."""
    return train.inputs, train.targets


def lists(train: Samples, datasets: DatasetFetcher, folder: Path) -> Any:
    """Newswires as lists of the numbers of their words, 10,000 of them known, as `keras.datasets` gives them."""
    rows = [row[row > 0].astype(int) for row in train.inputs]
    return [np.where(row < 10_000, row, 2).tolist() for row in rows], train.targets


def reviews(train: Samples, datasets: DatasetFetcher, folder: Path) -> Any:
    """Reviews, likewise."""
    arrays = datasets.fetch(REVIEWS)
    ranks = np.split(arrays["x_train"].astype(int), np.cumsum(arrays["x_train_lengths"])[:-1])
    kept = [[1, *np.where(row + 3 < 10_000, row + 3, 2).tolist()] for row in ranks[: len(train)]]
    return kept, train.targets


def series(train: Samples, datasets: DatasetFetcher, folder: Path) -> Any:
    """The hourly rows of which our windows are cut, scaled as listing 6.32 scales them; the target's column."""
    config: Any = resolve_config(load_plugin("jena_climate"), "dense")
    table = read_table(config, datasets)
    rows: Array = fill_gaps(tf.constant(table.rows)).numpy()[: len(train)]
    return (rows - rows.mean(axis=0)) / rows.std(axis=0), table.target, config


def photographs(train: Samples, datasets: DatasetFetcher, folder: Path) -> Any:
    """A folder with the JPEG files of cats and one with those of dogs."""
    arrays = datasets.fetch(PHOTOGRAPHS)
    for kind in ("cat", "dog"):
        (folder / "train" / f"{kind}s").mkdir(parents=True)
        parts = np.split(arrays[f"train_{kind}"], arrays[f"train_{kind}_ends"][:-1])
        for number, content in enumerate(parts):
            (folder / "train" / f"{kind}s" / f"{number}.jpg").write_bytes(content.tobytes())
    return folder / "train"


def columns(listing: Callable[..., Any]) -> Callable[[Any, Case], Any]:
    """A listing that takes inputs and targets."""
    return lambda own, case: listing(*own, epochs=case.epochs)


def augmented(own: Any, case: Case) -> Any:
    """Listing 5.14, as many of its photographs."""
    return listings.cats_augmented(own, case.steps, case.epochs)


def generated(own: Any, case: Case) -> Any:
    """Listings 6.33 and 6.37: a Python generator."""
    rows, target, config = own
    windows = listings.generator(
        rows, config.lookback, config.horizon - 1, 0, len(rows) - config.horizon, True, case.batch, 1, target
    )
    return listings.jena_dense(windows, (config.lookback, rows.shape[1]), case.steps, case.epochs)


CASES = (
    Case("mnist", "convnet", "5.1", 6_400, 5, 64, as_they_are, columns(listings.mnist_convnet)),
    Case("reuters", "dense", "3.5", 7_982, 9, 512, lists, columns(listings.reuters_dense)),
    Case("imdb", "bag_of_words", "3.4", 25_000, 4, 512, reviews, columns(listings.imdb_bag)),
    Case("imdb", "embedding_20", "6.1.2", 20_000, 10, 32, reviews, columns(listings.imdb_20)),
    Case("jena_climate", "dense", "6.3.4", 25_600, 8, 128, series, generated),
    Case(
        "cats_vs_dogs",
        "augmented",
        "5.2.5",
        1_024,
        2,
        32,
        photographs,
        augmented,
        "at 100 pixels; the book's at 150",
    ),
)


def turn(case: Case, side: str) -> float:
    """Seconds an epoch, once."""
    plugin = load_plugin(case.plugin)
    config = resolve_config(
        plugin, case.variant, (f"epochs={case.epochs}", f"batch_size={case.batch}", *SWITCHES.get(side, ()))
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        datasets = DatasetFetcher(folder / "datasets", os.environ.get("TENSORGATE_DATASETS", ""), lambda _: None)
        train = plugin.load_data(config, datasets).train.take(np.arange(case.samples))
        progress = PlainProgress(Console(quiet=True), time.monotonic)
        recipe = Recipe(plugin, case.variant, config, metric_record(plugin.metric), RunFolder(folder), progress)
        own = case.own(train, datasets, folder) if side == "book" else None
        began = time.perf_counter()
        if side == "book":
            case.book(own, case)
        else:
            make_deterministic(config)
            fit(recipe, Stage("final", 0, case.epochs, 0, published=True, train=train))
        return (time.perf_counter() - began) / case.epochs


def best(case: Case, side: str) -> float:
    """The quickest of several turns (with a switch, one will do), each in a process of its own."""
    command = (sys.executable, "-m", "tests.benchmarks.epochs", case.name, side)
    turns = 1 if side in SWITCHES else TURNS
    runs = (subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True) for _ in range(turns))
    return min(float(run.stdout.split()[-1]) for run in runs)


def write(seconds: Mapping[str, Mapping[str, float]]) -> None:
    """The two sections of docs/benchmarks.md."""
    epochs = [("variant", "section", "samples", "book", "ours", "book : ours", "")]
    switches = [("variant", *SWITCHES)]
    for case in CASES:
        took = seconds[case.name]
        told = (f"{took['book']:.2f} s", f"{took['ours']:.2f} s", f"{took['book'] / took['ours']:.1f}")
        epochs.append((case.name, case.section, f"{case.samples:,}", *told, case.note))
        if case.name == SWITCHED:
            switches.append((case.name, *(f"{took['ours'] / took[switch]:.2f}" for switch in SWITCHES)))
    write_section("Seconds an epoch", "\n".join((EPOCHS, table(*epochs), FINDINGS)))
    write_section("XLA and 16 bits", f"{SWITCHES_TOLD}\n{table(*switches)}")


EPOCHS = f"""Ours is the trainer's own way; the book's is its code as literally as Keras 3 allows
(`tests/benchmarks/listings.py`). Both start from the same samples, take batches of the same size, and count all that a
person waits for: preparation, tracing, training, and ours its logs and checkpoints, spread over the epochs. The best of
{TURNS} turns, each a process of its own.
"""
FINDINGS = """Where ours is quicker, and why:

- Keras spends a millisecond or more of Python on each call of the training step, which is most of the time of a small
  network. Ours runs up to 32 steps a call (`steps_at_once` in `services/trainer/fit`); same seed, same figures.
- Windows, bags of words and paddings are made by `tf.data` from whole columns, batch by batch on threads of its own;
  the book's Python walks row by row, and makes an array of 2 GB of 25,000 reviews.
- Preparing the data is most of the book's work for bags of words, Jena's windows and changed photographs. The 20 words
  of embedding_20 are hardly any, and mnist's pixels none: what is saved there is Python between steps.
- Photographs are changed in the graph, a batch at a time, where the book's generator changes one after another.
"""
SWITCHES_TOLD = """How many times as fast ours is with `--set jit_compile=true` and with
`--set mixed_precision=true`, in the same run; below 1 it is slower. Compiling for XLA takes seconds, which
a long training may earn back; a processor without arithmetic in bfloat16 has nothing to gain from 16 bits, a GPU has.
"""


def main() -> None:
    """One turn, or all of them and the page."""
    if len(sys.argv) == 3:
        (case,) = (one for one in CASES if one.name == sys.argv[1])
        print(turn(case, sys.argv[2]))
        return
    seconds: dict[str, dict[str, float]] = {}
    for case in CASES:
        sides = ("book", "ours", *(SWITCHES if case.name == SWITCHED else ()))
        seconds[case.name] = {side: best(case, side) for side in sides}
        print(case.name, {side: round(took, 3) for side, took in seconds[case.name].items()}, flush=True)
    write(seconds)


if __name__ == "__main__":
    main()
