"""`tensorgate key`: a new API key for the gateway."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from services.core.errors import InvalidArgument
from services.core.keys import KeyLine, hash_of, new_key
from services.core.refs import check_model_name

_ONLY_OURS = 0o600


def key(
    name: Annotated[str, typer.Argument(help="Whose key it is, as errors and you call them.")],
    models: Annotated[str | None, typer.Option(help="The models it may ask: mnist,imdb. None: all.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Add it to this file (TENSORGATE_GATEWAY_KEYS); a running gateway reads it.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second it may ask. None: any number.")] = None,
    burst: Annotated[int | None, typer.Option(min=1, help="How many at once. None: those of a second.")] = None,
) -> None:
    """Print a new key, once; the gateway's file of keys gets only its hash.

    tensorgate key alice --models mnist,imdb --rate 100 --file keys.jsonl
    """
    if not name.strip():
        raise InvalidArgument(f"A key has somebody's name. Received: {name!r}")
    if rate is None and burst is not None:
        raise InvalidArgument(f"A burst goes with a rate. Received: --burst {burst} without --rate")
    if rate is not None and not 0 < rate < math.inf:
        raise InvalidArgument(f"A rate is a number of requests a second above 0. Received: --rate {rate:g}")
    scope = None if models is None else tuple(check_model_name(model.strip()) for model in models.split(","))
    made = new_key()
    kept = KeyLine(name=name, sha256=hash_of(made.encode()), models=scope, rate=rate, burst=burst)
    line = kept.model_dump_json(exclude_none=True)
    if file is not None:
        _append(file, line)
    print(made)
    if file is None:
        print(line)


def _append(file: Path, line: str) -> None:
    """In one write, so that a gateway never reads half a line of ours."""
    try:
        file.touch(_ONLY_OURS)
        with file.open("ab+") as keys:
            keys.seek(0)
            old = keys.read()
            keys.write((b"\n" if old and not old.endswith(b"\n") else b"") + line.encode() + b"\n")
    except OSError as error:
        raise InvalidArgument(f"A file of keys can be written here. Received: {error}") from None
