"""How an error leaves over HTTP: one table for the status, a body for each door."""

from __future__ import annotations

import logging
import math

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from services.core.errors import HTTP_STATUS, Code, TensorgateError
from services.core.tfs_json import error_body
from services.core.tfs_paths import is_tfs_path
from services.gateway.overload import seconds_until_retry
from services.gateway.rate import RateLimited

_log = logging.getLogger(__name__)

# What the layers of one HTTP request tell each other in its scope: the code it ends with, its id, and which door and
# operation answer it (none: no such path).
CODE_KEY, REQUEST_ID_KEY, OPERATION_KEY = "tensorgate.code", "tensorgate.request_id", "tensorgate.operation"
OPENAI = "openai"  # the door whose clients read errors in OpenAI's form
OPEN_INFERENCE = "open_inference"  # and in Open Inference's
_FAULT_OF_OURS = "The gateway failed to answer; the request id finds the reason in its log."
# TensorFlow's graph errors go on after this with names of nodes that mean nothing to a client.
_GRAPH_NODES = "\n\t [["


def code_of(scope: Scope, status: int) -> Code:
    """What an HTTP request ended with; `status` 0: nothing was answered."""
    known: Code | None = scope.get(CODE_KEY)
    if known is not None:
        return known
    return Code.OK if 0 < status < 400 else Code.INTERNAL if status else Code.CANCELLED


def public_text(error: Exception) -> tuple[Code, str]:
    """The code and the text a client may see. Internal text never leaves."""
    if not isinstance(error, TensorgateError) or error.code is Code.INTERNAL:
        return Code.INTERNAL, _FAULT_OF_OURS
    return error.code, error.message.partition(_GRAPH_NODES)[0]


def tfs_text(error: Exception) -> tuple[Code, str]:
    """The same for TensorFlow Serving's clients, but whole: its texts show the graph's nodes."""
    code, text = public_text(error)
    return code, error.message if isinstance(error, TensorgateError) and code is not Code.INTERNAL else text


def is_open_inference_path(path: str) -> bool:
    """Whether Open Inference's clients ask there."""
    return path == "/v2" or path.startswith("/v2/")


def fault_body(code: Code, text: str, request_id: str) -> bytes:
    """Our error body."""
    return orjson.dumps({"error": {"code": code.name, "message": text, "request_id": request_id}})


async def answer_error(request: Request, error: Exception) -> Response:
    """The answer of the door that was asked."""
    if isinstance(error, ClientDisconnect):
        return _answer_nobody(request)
    door = request.scope.get(OPERATION_KEY, ("",))[0]
    if door == OPENAI:
        return _answer_openai_error(request, error)
    if door == OPEN_INFERENCE:
        code, text = public_text(error)
        return _response(request, code, open_inference_fault(text), error)
    if is_tfs_path(request.scope["path"]):
        return _answer_tfs_error(request, error)
    code, text = public_text(error)
    return _response(request, code, fault_body(code, text, request.scope[REQUEST_ID_KEY]), error)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """HTTP's own errors: no such path, or a path that does not have this method."""
    assert isinstance(error, HTTPException)
    code = Code.NOT_FOUND if error.status_code == 404 else Code.UNIMPLEMENTED
    text = f"{error.detail}. Received: {request.method} {request.url.path}; /docs lists what is here"
    request.scope[CODE_KEY] = code
    theirs = is_open_inference_path(request.scope["path"])
    body = open_inference_fault(text) if theirs else fault_body(code, text, request.scope[REQUEST_ID_KEY])
    return Response(body, error.status_code, error.headers, "application/json")


def _answer_openai_error(request: Request, error: Exception) -> Response:
    """OpenAI's body, which its clients read."""
    code, text = public_text(error)
    body = _limited_openai(text) if isinstance(error, RateLimited) else openai_fault(code, text)
    return _response(request, code, body, error)


def _limited_openai(text: str) -> bytes:
    """What OpenAI's clients know a rate by; other bounds are no matter of waiting."""
    return orjson.dumps({"error": {"message": text, "type": "requests", "param": None, "code": "rate_limit_exceeded"}})


def openai_fault(code: Code, text: str) -> bytes:
    """OpenAI's error body."""
    kind = "invalid_request_error" if HTTP_STATUS[code] < 500 else "server_error"
    name = "invalid_api_key" if code is Code.UNAUTHENTICATED else code.name.lower()
    return orjson.dumps({"error": {"message": text, "type": kind, "param": None, "code": name}})


def open_inference_fault(text: str) -> bytes:
    """Open Inference's error body."""
    return orjson.dumps({"error": text})


def _answer_tfs_error(request: Request, error: Exception) -> Response:
    """TensorFlow Serving's body; none where it has no text."""
    code, text = tfs_text(error)
    return _response(request, code, error_body(text) if text else b"", error)


def _answer_nobody(request: Request) -> Response:
    """The client went away; nobody reads this, but the count does."""
    request.scope[CODE_KEY] = Code.CANCELLED
    return Response(status_code=HTTP_STATUS[Code.CANCELLED])


def _response(request: Request, code: Code, body: bytes, error: Exception) -> Response:
    if code is Code.INTERNAL and isinstance(error, TensorgateError):  # any other error is logged by the HTTP server
        _log.error("request %s failed: %s", request.scope[REQUEST_ID_KEY], error)
    request.scope[CODE_KEY] = code
    seconds = seconds_until_retry(error)
    # In whole seconds (RFC 9110, 10.2.3), so that who waits does not come too early.
    headers = {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}
    if code is Code.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 11.6.1: a 401 says how to do better
    return Response(body, HTTP_STATUS[code], headers, "application/json")
