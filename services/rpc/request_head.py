"""What the headers of a request say."""

from __future__ import annotations

from dataclasses import dataclass

from services.rpc.call import Metadata
from services.rpc.headers import Headers
from services.rpc.messages import IDENTITY, timeout_of


@dataclass(frozen=True, slots=True)
class RequestHead:
    """`seconds` is the time the client gives it; None: it does not say."""

    path: str
    metadata: Metadata
    seconds: float | None
    encoding: bytes
    is_grpc: bool


def request_head(headers: Headers) -> RequestHead:
    """Read them."""
    said = dict(headers)
    return RequestHead(
        path=said.get(b":path", b"").decode(errors="replace"),
        metadata=[header for header in headers if not header[0].startswith(b":")],
        seconds=timeout_of(said.get(b"grpc-timeout", b"")),
        encoding=said.get(b"grpc-encoding", IDENTITY),
        is_grpc=said.get(b":method") == b"POST" and said.get(b"content-type", b"").startswith(b"application/grpc"),
    )
