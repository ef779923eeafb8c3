"""Reads the messages of generated services: what is none is the client's fault, told and counted as any other.

Left to gRPC's library it would be UNKNOWN, told with the name of a Python class, and a traceback in the log for each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from services.core.errors import InvalidArgument
from services.gateway.grpc_calls import Context, GrpcCalls


@dataclass(frozen=True, slots=True)
class _Unreadable:
    size: int


class Reading:
    """A server to which generated code may add its service: its methods are called with messages only."""

    def __init__(self, server: grpc.aio.Server, calls: GrpcCalls) -> None:
        self._server = server
        self._calls = calls

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Generated code adds the same methods twice; these cannot be looked into."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the service's methods."""
        reading = {name: self._reading(f"/{service}/{name}", handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, reading),))

    def _reading(self, path: str, handler: Any) -> Any:
        read, write = _reader(handler.request_deserializer), handler.response_serializer

        async def one(request: Any, context: Context) -> Any:
            if isinstance(request, _Unreadable):
                await self._refuse(path, request, context)
            return await handler.unary_unary(request, context)

        async def many(request: Any, context: Context) -> AsyncIterator[Any]:
            if isinstance(request, _Unreadable):
                await self._refuse(path, request, context)
            async with aclosing(handler.unary_stream(request, context)) as answers:
                async for answer in answers:
                    yield answer

        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(many, read, write)
        return grpc.unary_unary_rpc_method_handler(one, read, write)

    async def _refuse(self, path: str, request: _Unreadable, context: Context) -> None:
        async with self._calls.answering(context, ("grpc", "unreadable"), ""):
            raise InvalidArgument(f"{path} takes its message. Received: {request.size} bytes that are none")


def _reader(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def reading(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError:
            return _Unreadable(len(data))

    return reading
