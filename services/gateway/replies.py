"""Answers that are ready when they are made."""

from __future__ import annotations

from starlette.responses import Response


class JsonReply(Response):
    """JSON as bytes. Starlette's own constructor finds out about media type, charset and cookies on each call."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
