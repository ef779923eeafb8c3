"""The book's forecasters (6.3.3 to 6.4.4): raw rows float32 [N, rows, columns] in, the target's unit [N, 1] out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
from keras import layers
from pydantic import Field

from plugins.contract import Samples
from plugins.jena_climate.data import ClimateConfig

NAIVE = "naive"


class ForecastConfig(ClimateConfig):
    """Hyper-parameters; the book trains 20 or 40 times 500 batches of 128, with RMSprop at a steady 0.001."""

    epochs: int = 3
    learning_rate: float = Field(default=0.003, gt=0, description="at the start; falls to 0 along half a cosine")


def _dense(rows: Any) -> Any:
    """Listing 6.37."""
    return layers.Dense(32, activation="relu")(layers.Flatten()(rows))


def _gru(rows: Any) -> Any:
    """Listing 6.39."""
    return layers.GRU(32)(rows)


def _gru_dropout(rows: Any) -> Any:
    """Listing 6.40."""
    return layers.GRU(32, dropout=0.2, recurrent_dropout=0.2)(rows)


def _stacked(rows: Any) -> Any:
    """Listing 6.41."""
    hidden = layers.GRU(32, dropout=0.1, recurrent_dropout=0.5, return_sequences=True)(rows)
    return layers.GRU(64, activation="relu", dropout=0.1, recurrent_dropout=0.5)(hidden)


def _reversed(rows: Any) -> Any:
    """The GRU of listing 6.39, which sees the newest row first (6.3.8)."""
    return layers.GRU(32)(rows[:, ::-1])


def _bidirectional(rows: Any) -> Any:
    """Listing 6.44."""
    return layers.Bidirectional(layers.GRU(32))(rows)


def _conv1d(rows: Any) -> Any:
    """Listing 6.47."""
    hidden = layers.MaxPooling1D(3)(layers.Conv1D(32, 5, activation="relu")(rows))
    hidden = layers.MaxPooling1D(3)(layers.Conv1D(32, 5, activation="relu")(hidden))
    return layers.GlobalMaxPooling1D()(layers.Conv1D(32, 5, activation="relu")(hidden))


def _conv_gru(rows: Any) -> Any:
    """Listing 6.49."""
    hidden = layers.MaxPooling1D(3)(layers.Conv1D(32, 5, activation="relu")(rows))
    hidden = layers.Conv1D(32, 5, activation="relu")(hidden)
    return layers.GRU(32, dropout=0.1, recurrent_dropout=0.5)(hidden)


BODIES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "gru": _gru,
        "dense": _dense,
        "gru_dropout": _gru_dropout,
        "stacked": _stacked,
        "reversed": _reversed,
        "bidirectional": _bidirectional,
        "conv1d": _conv1d,
        "conv_gru": _conv_gru,
    }
)


def build(config: ForecastConfig, variant: str, train: Samples) -> keras.Model:
    """The variant between a scaling of the rows and one of the answer, both by what the windows of `train` show.

    The loss is the mean absolute error in the target's unit.
    """
    shown = train.in_order(config.batch_size).map(lambda rows, _: rows)
    rows = keras.Input(shown.element_spec.shape[1:], name="rows")
    target = int(train.assets["target"])
    if variant == NAIVE:
        model = keras.Model(rows, rows[:, -1, target : target + 1])
    else:
        scaling = layers.Normalization(name="scaling", dtype="float32")  # whatever the precision, degrees stay degrees
        scaling.adapt(shown)
        mean, spread = float(scaling.mean[0, 0, target]), float(scaling.variance[0, 0, target]) ** 0.5
        scaled = layers.Dense(1, name="answer")(BODIES[variant](scaling(rows)))
        model = keras.Model(rows, layers.Rescaling(spread, mean, dtype="float32")(scaled))
    steps = config.epochs * -(-len(train) // config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(optimizer=keras.optimizers.RMSprop(schedule), loss="mae", metrics=["mae"])
    return model
