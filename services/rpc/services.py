"""Methods out of a service's description: messages where the wire has bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.rpc.call import Call, Method

Unreadable = Callable[[Call, int], Awaitable[Any]]  # asked about so many bytes that are no message; it raises


def methods_of(service: ServiceDescriptor, servicer: Any, unreadable: Unreadable) -> Mapping[str, Method]:
    """By path; `servicer` has a method of each one's name, which takes a message and the call."""
    return {
        f"/{service.full_name}/{method.name}": _method(method, getattr(servicer, method.name), unreadable)
        for method in service.methods
    }


def _method(described: MethodDescriptor, answer: Callable[..., Any], unreadable: Unreadable) -> Method:
    message = GetMessageClass(described.input_type)

    async def unary(data: bytes, call: Call) -> bytes:
        try:
            request = message.FromString(data)
        except DecodeError:
            await unreadable(call, len(data))
        reply: bytes = (await answer(request, call)).SerializeToString()
        return reply

    async def streaming(data: bytes, call: Call) -> AsyncIterator[bytes]:
        try:
            request = message.FromString(data)
        except DecodeError:
            await unreadable(call, len(data))
        async with aclosing(answer(request, call)) as replies:
            async for reply in replies:
                yield reply.SerializeToString()

    return Method(streaming=streaming) if described.server_streaming else Method(unary=unary)
