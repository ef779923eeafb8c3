"""The series: Beijing's weather, Jena's, or a CSV of your own, cut into windows and what came after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import tensorflow as tf
from pydantic import Field, model_validator

from plugins.contract import Array, Config, Data, Dataset, Datasets, InvalidArgument, Samples, Source, Url
from plugins.jena_climate.gaps import fill_gaps
from plugins.jena_climate.table import Table, check_columns, read_csv, table_of

TEST_SHARE = 0.2
# Windows left out between training and validation, one an hour: what the defaults below look back and ahead.
GAP = 264


@dataclass(frozen=True)
class Series:
    """A CSV whose columns are known. `units` are of the columns to read, all but the times if there are none."""

    dataset: Dataset
    time: tuple[str, ...]
    target: str
    units: Mapping[str, str] = field(default_factory=dict)


BEIJING = Series(
    Dataset(
        file="jena/beijing_PRSA_2010_2014.csv.gz",
        sha256="a08a52c28be678e2c177b9d6db84d987c546da7c43178fe460fbc20a0939797d",
        read=read_csv,
        sources=(
            Source(
                Url(
                    "https://archive.ics.uci.edu/ml/machine-learning-databases/00381/PRSA_data_2010.1.1-2014.12.31.csv"
                ),
                read_csv,
            ),
        ),
    ),
    ("year", "month", "day", "hour"),
    "TEMP",
    {
        "pm2.5": "fine dust, µg/m³",
        "DEWP": "dew point, °C",
        "TEMP": "temperature, °C",
        "PRES": "pressure, hPa",
        "cbwd": "wind direction",
        "Iws": "wind run, m/s summed over the hours of one direction",
        "Is": "hours of snow so far",
        "Ir": "hours of rain so far",
    },
)
# Its hash is not known to us: nowhere could the whole file be had when this was written.
JENA = Series(
    Dataset(
        file="jena_climate_2009_2016.csv.zip",
        sha256=None,
        read=read_csv,
        sources=tuple(
            Source(Url(f"https://{host}/jena_climate_2009_2016.csv.zip"), read_csv)
            for host in ("s3.amazonaws.com/keras-datasets", "storage.googleapis.com/tensorflow/tf-keras-datasets")
        ),
    ),
    ("Date Time",),
    "T (degC)",
)
SERIES = MappingProxyType({"beijing": BEIJING, "jena": JENA})


class ClimateConfig(Config):
    """Which series, and what is asked of it; times are in hours."""

    series: str = Field(default="beijing", description=f"one of: {', '.join(SERIES)}; not read where `file` is given")
    file: str | None = Field(default=None, description="a CSV of your own: a path, or its name in the mirror")
    time: str = Field(default="time", description="your CSV's column of times, or year,month,day,hour")
    target: str | None = Field(default=None, description="the column to forecast")
    columns: str | None = Field(default=None, description="columns to read, with commas; none: all but the times")
    unit: str = Field(default="°C", description="of the target")
    lookback: int = Field(default=240, ge=1, description="hours that the model sees")
    horizon: int = Field(default=24, ge=1, description="hours from the last that it sees to the one it tells")
    minutes: int = Field(default=60, ge=1, description="from one row that it sees to the next")

    @model_validator(mode="after")
    def _checked(self) -> ClimateConfig:
        if self.series not in SERIES:
            raise ValueError(f"series is one of: {', '.join(SERIES)}")
        if self.file is not None and self.target is None:
            raise ValueError("with a file of your own, name its time and target columns")
        if self.lookback + self.horizon > GAP:
            raise ValueError(f"lookback + horizon is at most {GAP} hours, those between training and validation")
        return self


def series_of(config: ClimateConfig) -> Series:
    """The series that the config names, with its choice of columns."""
    if config.file is not None and config.target is not None:
        own = Dataset(config.file, None, read_csv, ())
        return Series(own, tuple(config.time.split(",")), config.target, _chosen(config, {}))
    known = SERIES[config.series]
    return Series(known.dataset, known.time, config.target or known.target, _chosen(config, known.units))


def _chosen(config: ClimateConfig, units: Mapping[str, str]) -> Mapping[str, str]:
    if config.columns is None:
        return units
    return {name: units.get(name, "") for name in config.columns.split(",")}


def load(config: ClimateConfig, datasets: Datasets) -> Data:
    """Windows before the last fifth of the time, and windows within it; no window crosses the cut."""
    table = read_table(config, datasets)
    windows, cut = Windows(table, config), round(len(table.rows) * (1 - TEST_SHARE))
    return Data(train=windows.between(0, cut), test=windows.between(cut, len(table.rows)))


def read_table(config: ClimateConfig, datasets: Datasets) -> Table:
    """The series that the config names, its columns labelled with their units. Raises InvalidArgument, Unavailable."""
    series = series_of(config)
    arrays = datasets.fetch(series.dataset)
    names = tuple(series.units) or tuple(name for name in arrays if name not in series.time)
    check_columns(arrays, (*series.time, series.target, *names))
    if series.target not in names:
        raise InvalidArgument(f"The target is one of the columns: {', '.join(names)}. Received: {series.target!r}")
    table = table_of(arrays, names, series.target, series.time, seen=1 - TEST_SHARE)
    return replace(table, columns=tuple(_label(column, series.units) for column in table.columns))


def _label(column: str, units: Mapping[str, str]) -> str:
    unit = units.get(column.partition("=")[0], "")
    return f"{column} ({unit})" if unit else column


class Windows:
    """Cuts a table into windows: rows `minutes` apart over `lookback` hours, and the target `horizon` hours later."""

    def __init__(self, table: Table, config: ClimateConfig) -> None:
        if config.minutes % table.minutes:
            raise InvalidArgument(f"minutes is a multiple of the series' {table.minutes}. Received: {config.minutes}")
        if 60 % table.minutes:
            raise InvalidArgument(f"Rows come a whole number of times an hour. Received: every {table.minutes} minutes")
        hour, step = 60 // table.minutes, config.minutes // table.minutes
        self._hour = hour
        self._offsets = np.arange(0, config.lookback * hour, step, dtype=np.int32)
        self._ahead = int(self._offsets[-1]) + config.horizon * hour
        self._answers = table.rows[:, table.target]
        self._rows = fill_gaps(tf.constant(table.rows))
        self._assets = {"columns": np.array(table.columns), "target": np.array(table.target)}

    def between(self, first: int, end: int) -> Samples:
        """The windows whose rows and target all lie in rows `first` to `end`, one an hour, in order of time.

        Inputs are the windows' first rows, int32 [N], read as float32 [N, rows, columns]; targets float32 [N]. A window
        whose target is missing is left out: no answer is made up.
        """
        starts = np.arange(first, end - self._ahead, self._hour, dtype=np.int32)
        if not len(starts):
            raise InvalidArgument(
                f"Each part of the series holds a window, {self._ahead + 1} rows. Received: {end - first} rows"
            )
        answers = self._answers[starts + self._ahead]
        known = ~np.isnan(answers)
        return Samples(starts[known], answers[known], self._read, self._assets)

    def _read(self, starts: Array) -> Array:
        return tf.gather(self._rows, starts[:, tf.newaxis] + self._offsets)
