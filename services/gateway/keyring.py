"""The keys in force: a file of their hashes, read again when it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from services.core.errors import InvalidArgument, Unauthenticated
from services.core.keys import KeyLine, hash_of
from services.gateway.caller import Caller

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0  # between two looks at the file
_SCHEME = b"bearer"


class Keyring:
    """Raises InvalidArgument when the file cannot be read at the start; afterwards the keys read last stay."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._stamp = _stamp(path)
        self._callers = _read(path)
        self._look_at = clock() + _LOOK_SECONDS
        self._told = ""

    def caller(self, authorization: bytes | None) -> Caller:
        """Whose key a request's `authorization` has. Raises Unauthenticated.

        Found by its hash, the key itself is compared with nothing: how long the look-up takes may tell of hashes, and
        who knows a hash still has no key.
        """
        if self._clock() >= self._look_at:
            self._look()
        scheme, _, key = (authorization or b"").partition(b" ")
        caller = self._callers.get(hash_of(key.strip())) if scheme.lower() == _SCHEME else None
        if caller is None:
            came = "none" if authorization is None else "one that is not known here"
            raise Unauthenticated(f"A request names its key: `Authorization: Bearer KEY`. Received: {came}")
        return caller

    def _look(self) -> None:
        self._look_at = self._clock() + _LOOK_SECONDS
        stamp = _stamp(self._path)  # before reading: what is written meanwhile is read next time
        if stamp == self._stamp:
            return
        try:
            self._callers = _read(self._path)
            _log.info("%d keys are in force", len(self._callers))
        except InvalidArgument as error:
            if (told := str(error)) != self._told:
                _log.error("the keys in force stay: %s", told)
            self._told = told
            if isinstance(error.__cause__, OSError) and stamp is not None:
                return  # it is there and may be read at the next look: a key taken back must not stay
        self._stamp = stamp


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Another one when the file has changed or another took its place; None: there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino


def _kinds(error: ValidationError) -> str:
    """What is wrong, without names or values of the file: a key may stand where it does not belong."""
    return ", ".join(sorted({one["type"] for one in error.errors(include_input=False)}))


def _read(path: Path) -> Mapping[str, Caller]:
    """Callers by the hash of their key."""
    callers: dict[str, Caller] = {}
    try:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if line.strip():
                one = KeyLine.model_validate_json(line)
                if one.sha256 in callers:
                    raise InvalidArgument(f"A key stands once in a file of keys. Received: {path}, line {number}")
                if one.models is None and "models" in one.model_fields_set:  # null may as well mean none
                    raise InvalidArgument(
                        f"`models` is a list, or left out for all. Received: {path}, line {number}: null"
                    )
                callers[one.sha256] = Caller(one.name, None if one.models is None else frozenset(one.models))
    except OSError as error:
        raise InvalidArgument(f"TENSORGATE_GATEWAY_KEYS is a file of keys. Received: {error}") from error
    except ValidationError as error:
        raise InvalidArgument(
            'A line of a file of keys is {"name": ..., "sha256": ...}, with "models": [...] if not all; '
            f"`tensorgate key` makes one. Received: {path}, line {number}: {_kinds(error)}"
        ) from None
    return callers
