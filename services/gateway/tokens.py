"""How likely a model found what it wrote, token by token; a token is a character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.core.errors import Internal
from services.gateway.request import Answer

LOGPROBS = "logprobs"  # the knob that asks for it, and an output; with it come those of the likeliest tokens
_TOP_CHARACTERS, _TOP_LOGPROBS = "top_characters", "top_logprobs"


@dataclass(frozen=True, slots=True)
class Token:
    """A written token, the logarithm of its probability in nats, and those of the likeliest, highest first."""

    text: str
    logprob: float
    top: Mapping[str, float]

    def document(self) -> Mapping[str, Any]:
        """In JSON."""
        return {"token": self.text, "logprob": self.logprob, "top": dict(self.top)}


def tokens_of(answer: Answer, text: str) -> Sequence[Token]:
    """Of the one text that was asked for. Raises Internal where the model told fewer than it wrote."""
    told, names, best = (answer.columns[name][0] for name in (LOGPROBS, _TOP_CHARACTERS, _TOP_LOGPROBS))
    if len(told) < len(text):
        raise Internal(f"{answer.servable.name} tells {LOGPROBS} of each character. Received: {len(told)}")
    likeliest = zip(names, best.tolist(), strict=True)
    top = [dict(zip(map(bytes.decode, row), values, strict=True)) for row, values in likeliest]
    return [Token(*one) for one in zip(text, told.tolist(), top, strict=False)]
