"""The book's networks as recipes: what each reads, for how long it trains, and what the book measured."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from plugins.contract import BookFigure, HoldOut, Variant

# 6.1.3: trained on 200 reviews, validated on 10,000.
FEW, FEW_SAMPLES = HoldOut(validation=10_000), 10_200
HUNDRED_WORDS = {"length": 100, "epochs": 10, "batch_size": 32}
# 6.2 to 6.4: the last 500 words. The learning rate falls to 0, so that few epochs do: each takes a minute or two.
SEQUENCE = {"length": 500, "batch_size": 128, "cosine": True}
LSTM = {**SEQUENCE, "epochs": 4, "optimizer": "adam", "learning_rate": 2e-3}


def book(value: float, section: str) -> BookFigure:
    """An accuracy that the book states."""
    return BookFigure(metric="accuracy", value=value, section=section)


def studied(summary: str) -> Variant:
    """A bag of words that 4.4 compares with the first one, over the 20 epochs that its pictures show."""
    return Variant(summary, settings={"epochs": 20})


def ordered(summary: str, settings: Mapping[str, Any], figure: BookFigure | None = None) -> Variant:
    """A network that reads words in order: validated on a fifth; published are the weights that validated best."""
    return Variant(summary, settings, figure, HoldOut(validation=5_000))


VARIANTS = MappingProxyType(
    {
        "bag_of_words": Variant(
            "which words occur; two hidden layers of 16 units, 160,305 parameters", book=book(0.88328, "3.4")
        ),
        "smaller": studied("a bag of words; hidden layers of 4 units, 40,029 parameters"),
        "larger": studied("a bag of words; hidden layers of 512 units, 5,383,681 parameters"),
        "l1": studied("bag_of_words with an L1 penalty of 0.001 on its weights"),
        "l2": studied("bag_of_words with an L2 penalty of 0.001 on its weights"),
        "dropout": studied("bag_of_words with half of the hidden units dropped"),
        "embedding_20": ordered(
            "the last 20 words, a learned vector of 8 each, 80,161 parameters",
            {"length": 20, "epochs": 10, "batch_size": 32},
            book(0.76, "6.1.2"),
        ),
        "embedding_500": ordered(
            "the last 500 words, a learned vector of 8 each, 84,001 parameters",
            {"length": 500, "epochs": 10, "batch_size": 32},
        ),
        "glove_200": Variant(
            "GloVe's vectors of the last 100 words, trained on 200 reviews",
            {**HUNDRED_WORDS, "samples": FEW_SAMPLES, "embedding": "glove"},
            book(0.56, "6.1.3"),
            FEW,
        ),
        "learned_200": Variant(
            "learned vectors of the last 100 words, trained on 200 reviews",
            {**HUNDRED_WORDS, "samples": FEW_SAMPLES},
            protocol=FEW,
        ),
        "glove_all": ordered(
            "GloVe's vectors of the last 100 words, trained on all reviews", {**HUNDRED_WORDS, "embedding": "glove"}
        ),
        "learned_all": ordered("learned vectors of the last 100 words, trained on all reviews", HUNDRED_WORDS),
        "simple_rnn": ordered(
            "a SimpleRNN(32) over the last 500 words, 322,113 parameters",
            {**SEQUENCE, "epochs": 6},
            book(0.85, "6.2.1"),
        ),
        "lstm": ordered("an LSTM(32) over the last 500 words, 328,353 parameters", LSTM, book(0.89, "6.2.3")),
        "lstm_reversed": ordered(
            "an LSTM(32) over the first 500 words, last one first, 1,300,641 parameters", {**LSTM, "from_start": True}
        ),
        "bidirectional_lstm": ordered(
            "LSTM(32) both ways over the last 500 words, 336,705 parameters", LSTM, book(0.89, "6.3.8")
        ),
        "conv1d": ordered(
            "two 1D convolutions over the last 500 words, 1,315,937 parameters", {**SEQUENCE, "epochs": 3}
        ),
    }
)
