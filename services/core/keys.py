"""API keys: what a file of them holds of each, one JSON object a line, how it is read, and how a new one is made."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.core.errors import InvalidArgument

_BYTES = 32  # nobody guesses that many, so a plain hash without salt tells nothing of a key


class KeyLine(BaseModel):
    """One key: whose it is, its hash, and the models it may ask; without `models`, all.

    `rate`: requests a second; without it, any number. `burst`: how many at once; without it, those of a second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    models: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    burst: int | None = Field(default=None, ge=1)


def new_key() -> str:
    """A key that nobody has."""
    return "tg-" + secrets.token_urlsafe(_BYTES)


def hash_of(key: bytes) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key).hexdigest()


def read_keys(path: Path) -> Mapping[str, KeyLine]:
    """The keys of a file by their hash. Raises InvalidArgument, which names the line and shows nothing of it."""
    keys: dict[str, KeyLine] = {}
    try:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if line.strip():
                one = KeyLine.model_validate_json(line)
                _check(one, keys, f"{path}, line {number}")
                keys[one.sha256] = one
    except OSError as error:
        raise InvalidArgument(f"TENSORGATE_GATEWAY_KEYS is a file of keys. Received: {error}") from error
    except ValidationError as error:
        raise InvalidArgument(
            'A line of a file of keys is {"name": ..., "sha256": ...}, with "models": [...] if not all, and "rate" and '
            f'"burst" if not any; `tensorgate key` makes one. Received: {path}, line {number}: {_kinds(error)}'
        ) from None
    return keys


def _check(one: KeyLine, keys: Mapping[str, KeyLine], where: str) -> None:
    if one.sha256 in keys:
        raise InvalidArgument(f"A key stands once in a file of keys. Received: {where}")
    for name in sorted(one.model_fields_set):
        if getattr(one, name) is None:  # null may as well mean none
            raise InvalidArgument(f"`{name}` of a key has a value, or is left out. Received: {where}: null")
    if one.burst is not None and one.rate is None:
        raise InvalidArgument(f"`burst` of a key goes with a `rate`. Received: {where}: no `rate`")


def _kinds(error: ValidationError) -> str:
    """What is wrong, without names or values of the file: a key may stand where it does not belong."""
    return ", ".join(sorted({one["type"] for one in error.errors(include_input=False)}))
