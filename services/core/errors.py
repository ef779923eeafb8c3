"""The one error tree and the one table from codes to HTTP.

TensorgateError
├── InvalidArgument        the request breaks a rule; says which and what was received
├── NotFound               no such model, version, label, signature, plugin, run
├── AlreadyExists          a version number that someone else claimed
├── FailedPrecondition     right request, wrong state (label on a version that is not there)
├── Aborted                a compare-and-swap lost the race
├── ResourceExhausted      queue full, body too large
├── DeadlineExceeded       the caller's budget ran out
├── Unavailable            model loading, store or model server out of reach
├── Unauthenticated, PermissionDenied
├── Unimplemented
├── DataLoss               stored bytes do not have the hash their manifest promises
└── Internal               anything else; its text never reaches a client
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar


class Code(Enum):
    """gRPC's canonical status codes, by name and number (grpc/doc/statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# TensorFlow Serving's own map (model_servers/http_server.cc); DATA_LOSS and UNKNOWN are among its "rest: 500".
HTTP_STATUS: Mapping[Code, int] = MappingProxyType(
    {
        Code.OK: 200,
        Code.CANCELLED: 499,
        Code.UNKNOWN: 500,
        Code.INVALID_ARGUMENT: 400,
        Code.DEADLINE_EXCEEDED: 504,
        Code.NOT_FOUND: 404,
        Code.ALREADY_EXISTS: 409,
        Code.PERMISSION_DENIED: 403,
        Code.RESOURCE_EXHAUSTED: 429,
        Code.FAILED_PRECONDITION: 400,
        Code.ABORTED: 409,
        Code.OUT_OF_RANGE: 400,
        Code.UNIMPLEMENTED: 501,
        Code.INTERNAL: 500,
        Code.UNAVAILABLE: 503,
        Code.DATA_LOSS: 500,
        Code.UNAUTHENTICATED: 401,
    }
)


class TensorgateError(Exception):
    """Base of all errors with a code. The message is for the client: the rule, then the value received."""

    code: ClassVar[Code] = Code.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(TensorgateError):
    """The request breaks a rule."""

    code = Code.INVALID_ARGUMENT


class NotFound(TensorgateError):
    """The thing named does not exist."""

    code = Code.NOT_FOUND


class AlreadyExists(TensorgateError):
    """The name or number is taken."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(TensorgateError):
    """The system is not in the state this request needs."""

    code = Code.FAILED_PRECONDITION


class Aborted(TensorgateError):
    """Someone else changed it first; read again and retry."""

    code = Code.ABORTED


class ResourceExhausted(TensorgateError):
    """A bound was reached: queue, body size, quota."""

    code = Code.RESOURCE_EXHAUSTED


class DeadlineExceeded(TensorgateError):
    """The caller's time budget ran out."""

    code = Code.DEADLINE_EXCEEDED


class Unavailable(TensorgateError):
    """Not now: loading, starting, or out of reach. Retrying may help."""

    code = Code.UNAVAILABLE


class Unauthenticated(TensorgateError):
    """No valid credentials."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(TensorgateError):
    """Valid credentials, but not for this."""

    code = Code.PERMISSION_DENIED


class Unimplemented(TensorgateError):
    """This server does not do that."""

    code = Code.UNIMPLEMENTED


class DataLoss(TensorgateError):
    """Stored bytes are missing or are not what their manifest promises."""

    code = Code.DATA_LOSS


class Internal(TensorgateError):
    """A fault of ours."""

    code = Code.INTERNAL


_BY_CODE: Mapping[Code, type[TensorgateError]] = {error.code: error for error in TensorgateError.__subclasses__()}


def error_of(code: Code, message: str) -> TensorgateError:
    """The error of this tree for a status received on the wire; codes without a class become `Internal`."""
    return _BY_CODE.get(code, Internal)(message)


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60
_repr.maxlevel = 3


def received(value: Any) -> str:
    """A value as an error message shows it: short, on one line."""
    return _repr.repr(value)
