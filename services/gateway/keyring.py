"""The keys in force: a file of their hashes, read again when it changes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.core.errors import InvalidArgument, Unauthenticated
from services.core.keys import KeyLine, hash_of, read_keys
from services.gateway.caller import Caller
from services.gateway.rate import Bucket, Rate, RateLimited, take

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0  # between two looks at the file
_SCHEME = b"bearer"


@dataclass
class _Held:
    """A key in force; where it has a rate, with the bucket it takes from."""

    line: KeyLine
    caller: Caller
    rate: Rate | None
    bucket: Bucket


class Keyring:
    """Raises InvalidArgument when the file cannot be read at the start; afterwards the keys read last stay.

    `workers`: of so many processes this is one, and each grants its share of a key's rate.
    """

    def __init__(self, path: Path, clock: Callable[[], float], workers: int = 1) -> None:
        self._path = path
        self._clock = clock
        self._workers = workers
        self._stamp = _stamp(path)
        self._held: Mapping[str, _Held] = {}
        self._read()
        self._look_at = clock() + _LOOK_SECONDS
        self._told = ""

    def admit(self, authorizations: Sequence[bytes]) -> Caller:
        """Whose key a request has, by all its `authorization` headers. Raises Unauthenticated, and RateLimited when
        that key has asked too often.

        Found by its hash, the key itself is compared with nothing: how long the look-up takes may tell of hashes, and
        who knows a hash still has no key.
        """
        now = self._clock()
        if now >= self._look_at:
            self._look()
        held = self._find(authorizations)
        if held.rate is not None:
            held.bucket, wait = take(held.bucket, held.rate, now)
            if wait:
                raise _limited(held.line, wait, self._workers)
        return held.caller

    def _find(self, authorizations: Sequence[bytes]) -> _Held:
        held, came = None, "none"
        if len(authorizations) > 1:  # which of them another server on the way has looked at, nobody knows
            came = f"{len(authorizations)} such headers"
        elif authorizations:
            scheme, _, key = authorizations[0].partition(b" ")
            held = self._held.get(hash_of(key.strip())) if scheme.lower() == _SCHEME else None
            came = "one that is not known here"
        if held is None:
            raise Unauthenticated(f"A request names its key: `Authorization: Bearer KEY`. Received: {came}")
        return held

    def _look(self) -> None:
        self._look_at = self._clock() + _LOOK_SECONDS
        stamp = _stamp(self._path)  # before reading: what is written meanwhile is read next time
        if stamp == self._stamp:
            return
        try:
            self._read()
            _log.info("%d keys are in force", len(self._held))
        except InvalidArgument as error:
            if (told := str(error)) != self._told:
                _log.error("the keys in force stay: %s", told)
            self._told = told
            if isinstance(error.__cause__, OSError) and stamp is not None:
                return  # it is there and may be read at the next look: a key taken back must not stay
        self._stamp = stamp

    def _read(self) -> None:
        """What a key may ask and how often as the file says; buckets stay as they are where the rate does."""
        lines = read_keys(self._path)
        self._held = {sha256: self._hold(line, self._held.get(sha256)) for sha256, line in lines.items()}

    def _hold(self, line: KeyLine, before: _Held | None) -> _Held:
        rate = _share(line, self._workers)
        caller = Caller(line.name, None if line.models is None else frozenset(line.models))
        if before is not None and before.rate == rate:
            return _Held(line, caller, rate, before.bucket)
        return _Held(line, caller, rate, Bucket(0.0 if rate is None else rate.burst, self._clock()))


def _share(line: KeyLine, workers: int) -> Rate | None:
    """What one of so many processes grants."""
    if line.rate is None:
        return None
    return Rate(line.rate / workers, max(1.0, _burst(line, line.rate) / workers))


def _burst(line: KeyLine, rate: float) -> int:
    return line.burst or math.ceil(rate)


def _limited(line: KeyLine, wait: float, workers: int) -> RateLimited:
    assert line.rate is not None
    share = f", shared out among {workers} processes" if workers > 1 else ""
    return RateLimited(
        f"The key of {line.name!r} may ask {line.rate:g} times a second, {_burst(line, line.rate)} times at once"
        f"{share}. "
        f"Received: one request more, {wait:.3g} s too early",
        wait,
    )


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Another one when the file has changed or another took its place; None: there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino
