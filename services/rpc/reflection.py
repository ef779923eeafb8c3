"""What services there are and what their messages look like (grpc.reflection, v1 and v1alpha), as grpcurl asks.

The library has the answers; it is imported when somebody first asks, because gRPC's own machinery comes with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from services.core.errors import Code
from services.rpc.call import Call, Method
from services.rpc.messages import Status

SERVICE = "grpc.reflection.v1alpha.ServerReflection"
_PATHS = (f"/{SERVICE}/ServerReflectionInfo", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")


def reflection(services: Sequence[str]) -> Mapping[str, Method]:
    """The methods. Both versions have the same messages but for their package."""

    async def talk(messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        read, answer = await asyncio.to_thread(_library, services)
        async for message in messages:
            try:
                request = read(message)
            except DecodeError:
                raise Status(Code.INTERNAL, "A message is one. Received: bytes that are none") from None
            for reply in answer((request,)):
                yield reply.SerializeToString()

    return dict.fromkeys(_PATHS, Method(talking=talk))


def _library(services: Sequence[str]) -> tuple[Any, Any]:
    from grpc_reflection.v1alpha import reflection_pb2
    from grpc_reflection.v1alpha.reflection import ReflectionServicer

    servicer = ReflectionServicer((*services, SERVICE))
    return (
        reflection_pb2.ServerReflectionRequest.FromString,
        lambda requests: servicer.ServerReflectionInfo(iter(requests), None),
    )
