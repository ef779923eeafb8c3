"""Server-sent events (WHATWG HTML, section 9.2), for the doors that answer while a model writes."""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import Any

import orjson
from starlette.requests import Request

from services.core.errors import Code
from services.gateway.faults import CODE_KEY, REQUEST_ID_KEY, public_text

_log = logging.getLogger(__name__)

EVENTS = "text/event-stream"
EVENTS_HEADERS = MappingProxyType({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
DONE = b"data: [DONE]\n\n"


def in_json(document: Any) -> bytes:
    """The document, arrays as lists."""
    return orjson.dumps(document, default=lambda value: value.tolist(), option=orjson.OPT_SERIALIZE_NUMPY)


def event(document: Any) -> bytes:
    """One event."""
    return b"data: " + in_json(document) + b"\n\n"


def told_of(http: Request, error: Exception) -> tuple[Code, str]:
    """A fault after the status has gone out, noted for count and log: the code and the text a client may see."""
    code, text = public_text(error)
    if code is Code.INTERNAL:
        _log.error("request %s failed", http.scope[REQUEST_ID_KEY], exc_info=error)
    http.scope[CODE_KEY] = code
    return code, text
