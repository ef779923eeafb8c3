"""One file over HTTP, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from services.core.errors import Unavailable
from services.trainer.sources.patience import ANSWER_SECONDS, Attempt

Say = Callable[[str], None]  # called with one sentence for a person

_STALLED_SECONDS = 20.0
_SAY_EVERY_SECONDS = 2.0
_MEGABYTE = 1e6
_TIMEOUT = httpx.Timeout(_STALLED_SECONDS, connect=ANSWER_SECONDS)


def download(address: str, path: Path, say: Say) -> None:
    """Write what is at `address` into `path`.

    Raises Unavailable if there is no answer within ANSWER_SECONDS, the answer is an error, or the flow of bytes stops.
    """
    try:
        Attempt(address, lambda attempt: _download(address, path, say, attempt)).result()
    except httpx.HTTPError as error:
        raise Unavailable(str(error) or type(error).__name__) from error


def _download(address: str, path: Path, say: Say, attempt: Attempt[None]) -> None:
    name = Path(urlsplit(address).path).name
    with httpx.stream("GET", address, timeout=_TIMEOUT, follow_redirects=True) as response:
        attempt.answered()
        if response.is_error:
            raise Unavailable(f"answered {response.status_code} {response.reason_phrase}")
        size = int(response.headers.get("content-length", 0))
        next_word = time.monotonic() + _SAY_EVERY_SECONDS
        with path.open("wb") as file:
            for chunk in response.iter_bytes():
                if attempt.abandoned:
                    return
                file.write(chunk)
                if time.monotonic() > next_word:
                    say(_progress(name, response.num_bytes_downloaded, size))
                    next_word += _SAY_EVERY_SECONDS


def _progress(name: str, done: int, size: int) -> str:
    of = f" of {size / _MEGABYTE:.1f}" if size else ""
    return f"{name}: {done / _MEGABYTE:.1f}{of} MB"
