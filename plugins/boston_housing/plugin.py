"""What does a home cost there? Scalar regression, judged by 4-fold validation: there is little data (book 3.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from plugins.boston_housing.data import FEATURES, load
from plugins.boston_housing.model import PricesConfig, build
from plugins.contract import (
    Array,
    BookFigure,
    Choice,
    Data,
    Datasets,
    InputField,
    IteratedKFold,
    KFold,
    Metric,
    OutputField,
    Plugin,
    Range,
    Samples,
    Signature,
    Task,
    Variant,
)

TOGETHER = InputField(
    name="features",
    dtype="float32",
    shape=(len(FEATURES),),
    description=f"in this order: {', '.join(feature.name for feature in FEATURES)}",
)
PRICE = OutputField(
    name="values",
    dtype="float32",
    shape=(1,),
    content="values",
    description="median price of an owner-occupied home",
    unit="thousand dollars",
)
# The first suburb of the table; its homes cost 24,000 dollars.
EXAMPLE = (0.00632, 18.0, 2.31, 0.0, 0.538, 6.575, 65.2, 4.09, 1.0, 296.0, 15.3, 396.9, 4.98)


class BostonHousing(Plugin[PricesConfig]):
    """Learns a price from 13 figures about a suburb."""

    name = "boston_housing"
    title = "House prices in Boston, 1978"
    task = Task.REGRESS
    metric = Metric("mae", higher_is_better=False, unit="thousand dollars")
    protocol = KFold(folds=4)
    config = PricesConfig
    search = MappingProxyType({"learning_rate": Range(2e-3, 5e-2, log=True), "batch_size": Choice((8, 16, 32, 64))})
    variants = MappingProxyType(
        {
            "dense": Variant(
                "two hidden layers of 64 units, 5,121 parameters",
                book=BookFigure(metric="mae", value=2.5532, section="3.6"),
            ),
            "iterated": Variant(
                "the same network, judged by 4 folds three times over",
                book=BookFigure(metric="mae", value=2.5532, section="3.6"),
                protocol=IteratedKFold(folds=4, repeats=3),
            ),
        }
    )

    def load_data(self, config: PricesConfig, datasets: Datasets) -> Data:
        """Raw features and prices."""
        return load(datasets)

    def build_model(self, config: PricesConfig, variant: str, train: Samples) -> Any:
        """The network, scaled by this fold's training part."""
        return build(config, train.inputs)

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`regress` takes one named input a feature, `serving_default` all in one row."""

        # Spelled out, because a signature's parameters are the fields' names.
        def regress(
            crim: Any, zn: Any, indus: Any, chas: Any, nox: Any, rm: Any, age: Any, dis: Any, rad: Any, tax: Any,
            ptratio: Any, b: Any, lstat: Any,
        ) -> Mapping[str, Any]:  # fmt: skip
            row = (crim, zn, indus, chas, nox, rm, age, dis, rad, tax, ptratio, b, lstat)
            return {"values": model(tf.stack(row, axis=1))}

        def regress_row(features: Any) -> Mapping[str, Any]:
            return {"values": model(features)}

        named = {feature.name: value for feature, value in zip(FEATURES, EXAMPLE, strict=True)}
        return {
            "regress": Signature(Task.REGRESS, regress, FEATURES, (PRICE,), named, "Price a home"),
            "serving_default": Signature(
                Task.REGRESS, regress_row, (TOGETHER,), (PRICE,), {"features": list(EXAMPLE)}, "Price a home, by row"
            ),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each suburb with its features named."""
        names = [feature.name for feature in FEATURES]
        return (dict(zip(names, map(float, row), strict=True)) for row in samples.inputs)

    def show(self, sample: Array) -> str:
        """The features by name."""
        return ", ".join(f"{feature.name} {value:g}" for feature, value in zip(FEATURES, sample, strict=True))


PLUGIN = BostonHousing()
