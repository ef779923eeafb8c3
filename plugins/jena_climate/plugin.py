"""How warm will it be a day from now? Ten days of weather, read by the book's recurrent networks (6.3 and 6.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import (
    Array,
    Data,
    Datasets,
    Figure,
    HoldOut,
    InputField,
    Metric,
    OutputField,
    Plugin,
    Samples,
    Signature,
    Task,
    Untrained,
    Variant,
)
from plugins.jena_climate.data import GAP, load
from plugins.jena_climate.figures import draw_forecasts
from plugins.jena_climate.gaps import fill_gaps
from plugins.jena_climate.model import NAIVE, ForecastConfig, build

SHOWN = 6  # windows in the report's picture
BATCH = 512  # windows


class JenaClimate(Plugin[ForecastConfig]):
    """Forecasts a column of a weather series from all of them."""

    name = "jena_climate"
    title = "The temperature a day ahead"
    task = Task.REGRESS
    metric = Metric("mae", higher_is_better=False, unit="°C")
    protocol = HoldOut(validation=0.25, in_order=True, gap=GAP)
    config = ForecastConfig
    variants = MappingProxyType(
        {
            "gru": Variant("one GRU of 32 units"),
            NAIVE: Variant("a day from now it is as warm as now", protocol=Untrained()),
            "dense": Variant("32 units over all rows at once", settings={"epochs": 8}),
            "gru_dropout": Variant("the GRU with dropout within its time steps", settings={"epochs": 4}),
            "stacked": Variant("two GRUs with dropout, one on the other", settings={"learning_rate": 0.001}),
            "reversed": Variant("the GRU, the newest row first", settings={"epochs": 2}),
            "bidirectional": Variant("a GRU each way", settings={"epochs": 2}),
            "conv1d": Variant("three convolutions, the largest of each kind kept", settings={"epochs": 4}),
            "conv_gru": Variant("two convolutions, and a GRU over every third hour of them", settings={"epochs": 5}),
        }
    )

    def load_data(self, config: ForecastConfig, datasets: Datasets) -> Data:
        """Windows of raw rows; the test is the last fifth of the time."""
        return load(config, datasets)

    def build_model(self, config: ForecastConfig, variant: str, train: Samples) -> Any:
        """The network, scaled by this fold's windows; it carries what `signatures` tells of the series."""
        model = build(config, variant, train)
        model.series = Series(train, config)
        return model

    def baseline(self, data: Data) -> Mapping[str, float]:
        """As warm as now, the book's common sense (6.3.3)."""
        target = data.test.assets["target"]
        now = np.concatenate([rows[:, -1, target] for rows, _ in data.test.in_order(BATCH).as_numpy_iterator()])
        return {"mae": float(np.abs(now - data.test.targets).mean())}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`regress` takes the last rows as they were measured, and answers the model's forecast and the naive one."""
        series = model.series

        def regress(rows: Any) -> Mapping[str, Any]:
            filled = fill_gaps(rows)
            # Said here, because not every kernel passes NaN on: cuDNN's largest of some numbers leaves it out.
            told = tf.reduce_all(tf.math.is_finite(filled), axis=[1, 2])
            values = tf.where(told[:, tf.newaxis], model(filled), float("nan"))
            return {"values": values, "naive": filled[:, -1, series.target : series.target + 1]}

        return {
            "regress": Signature(
                Task.REGRESS, regress, (series.rows,), series.forecasts, {"rows": series.example}, series.question
            )
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each window's rows."""
        for windows, _ in samples.in_order(BATCH).as_numpy_iterator():
            yield from ({"rows": as_written(window)} for window in windows)

    def figures(self, model: Any, data: Data, config: ForecastConfig) -> Iterator[Figure]:
        """What was, what the model and common sense expected, and what came, in windows from all over the test."""
        picked = data.test.take(np.linspace(0, len(data.test) - 1, SHOWN).astype(int))
        yield Figure(
            "forecasts",
            f"{config.lookback} hours, and what was expected {config.horizon} hours later",
            draw_forecasts(model, picked, config),
        )

    def show(self, sample: Array) -> str:
        """The newest row."""
        return f"newest of {len(sample)} rows: " + ", ".join(f"{value:g}" for value in sample[-1])


class Series:
    """What the card tells of the series: its columns, its unit, a window of it."""

    def __init__(self, train: Samples, config: ForecastConfig) -> None:
        ((window, *_), _) = next(train.take(np.array([0])).in_order(1).as_numpy_iterator())
        columns = train.assets["columns"]
        self.target = int(train.assets["target"])
        self.example = as_written(window)
        self.question = f"Forecast {columns[self.target]} {config.horizon} hours after the last row"
        self.rows = InputField(
            name="rows",
            dtype="float32",
            shape=window.shape,
            description=f"one every {config.minutes} minutes, the oldest first; a number that is missing (NaN) is "
            f"taken from the row before. Columns: {'; '.join(columns)}",
        )
        later = f"{config.horizon} hours after the last row"
        self.forecasts = (
            _forecast("values", "values", f"{later}; NaN where a column has no number at all", config.unit),
            _forecast("naive", "numbers", f"{later}, if nothing changes: the last row's", config.unit),
        )


def _forecast(name: str, content: str, description: str, unit: str) -> OutputField:
    return OutputField(name=name, dtype="float32", shape=(1,), content=content, description=description, unit=unit)


def as_written(window: Array) -> list[list[float]]:
    """A window's float32 numbers in as few digits as tell them apart: 1.79, not 1.7899999618530273."""
    numbers: list[list[float]] = window.astype(str).astype(np.float64).tolist()
    return numbers


PLUGIN = JenaClimate()
