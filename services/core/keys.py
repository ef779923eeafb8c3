"""API keys: what a file of them holds of each, one JSON object a line, and how a new one is made."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_BYTES = 32  # nobody guesses that many, so a plain hash without salt tells nothing of a key


class KeyLine(BaseModel):
    """One key: whose it is, its hash, and the models it may ask; without `models`, all."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    models: tuple[Annotated[str, Field(min_length=1)], ...] | None = None


def new_key() -> str:
    """A key that nobody has."""
    return "tg-" + secrets.token_urlsafe(_BYTES)


def hash_of(key: bytes) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key).hexdigest()
