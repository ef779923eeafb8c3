"""`tensorgate key`: a new API key for the gateway."""

from __future__ import annotations

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
) -> None:
    """Print a new key, once; the gateway's file of keys gets only its hash.

    tensorgate key alice --models mnist,imdb --file keys.jsonl
    """
    if not name.strip():
        raise InvalidArgument(f"A key has somebody's name. Received: {name!r}")
    scope = None if models is None else tuple(check_model_name(model.strip()) for model in models.split(","))
    made = new_key()
    line = KeyLine(name=name, sha256=hash_of(made.encode()), models=scope).model_dump_json(exclude_none=True)
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
