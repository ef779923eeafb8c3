"""From raw text to the numbers that the networks read, in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

from plugins.texts import beginning, ending, first, last, lookup, numbers_of, words_of


class Reader(layers.Layer):
    """Reviews, string [N], to int32 [N, length]: the numbers of their last words, or of their first `from_start`."""

    def __init__(self, words: Sequence[str], length: int, from_start: bool) -> None:
        super().__init__(name="reader")
        self.words = lookup(words)
        self.length = length
        self.from_start = from_start

    def call(self, texts: Any) -> Any:
        """The start mark stands before the first word, and is read where there is room for it."""
        numbers = numbers_of(self.words, self._near(texts))
        return first(numbers, self.length) if self.from_start else last(numbers, self.length)

    def words_read(self, texts: Any) -> Any:
        """The words behind the numbers, string [N, most], filled up with ""."""
        words = words_of(self._near(texts))
        read = words[:, : self.length - 1] if self.from_start else words[:, -self.length :]
        return read.to_tensor("")

    def _near(self, texts: Any) -> Any:
        return beginning(texts) if self.from_start else ending(texts)
