"""What a text is made of: a model's tokens, which are characters where it does not say otherwise, and how likely they
were found."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, repeat
from typing import Any

from services.core.errors import Internal
from services.gateway.request import Answer

LOGPROBS = "logprobs"  # the knob that asks for it, and an output; with it come those of the likeliest tokens
_TOP_TOKENS, _TOP_LOGPROBS = "top_tokens", "top_logprobs"
_LENGTHS = "token_lengths"  # an output of models whose tokens are not characters: of each the characters it has


@dataclass(frozen=True, slots=True)
class Token:
    """A written token, the logarithm of its probability in nats, and those of the likeliest, highest first.

    `place` is where in its text it begins.
    """

    text: str
    logprob: float
    top: Mapping[str, float]
    place: int = 0

    def document(self) -> Mapping[str, Any]:
        """In JSON."""
        return {"token": self.text, "logprob": self.logprob, "top": dict(self.top)}


class Tokens:
    """Reads along with one text: which of its tokens have been told. One is told with its first character."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Token | None]] = deque()
        self._written = self._told = 0

    def read(self, answer: Answer, text: str, *, likely: bool) -> None:
        """What the model wrote in one call, where `likely` with likelihoods. Raises Internal where it told too few."""
        words = _words(answer, text)
        for word, token in zip(words, _likely(answer, words) if likely else repeat(None), strict=False):
            self._waiting.append((self._written, token))
            self._written += len(word)

    def tell(self, text: str) -> tuple[int, Sequence[Token]]:
        """Of the next part that is told: how many tokens begin in it, and these, where they are known."""
        self._told += len(text)
        count, told = 0, []
        while self._waiting and self._waiting[0][0] < self._told:
            place, token = self._waiting.popleft()
            count += 1
            told += [replace(token, place=place)] if token is not None else []
        return count, told


def _words(answer: Answer, text: str) -> Sequence[str]:
    """The text of each token."""
    if _LENGTHS not in answer.columns:
        return text
    lengths = [length for length in answer.columns[_LENGTHS][0].tolist() if length]  # 0: of longer rows beside it
    if sum(lengths) != len(text):
        raise Internal(f"{answer.servable.name} tells {_LENGTHS} of {len(text)} characters. Received: {sum(lengths)}")
    return [text[end - length : end] for end, length in zip(accumulate(lengths), lengths, strict=True)]


def _likely(answer: Answer, words: Sequence[str]) -> Sequence[Token]:
    told, names, best = (answer.columns[name][0] for name in (LOGPROBS, _TOP_TOKENS, _TOP_LOGPROBS))
    if len(told) < len(words):
        raise Internal(f"{answer.servable.name} tells {LOGPROBS} of each token. Received: {len(told)}")
    likeliest = zip(names, best.tolist(), strict=True)
    top = [dict(zip(map(bytes.decode, row), values, strict=True)) for row, values in likeliest]
    return [Token(*one) for one in zip(words, told.tolist(), top, strict=False)]
