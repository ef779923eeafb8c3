"""Model servers by name: several addresses behind one, and one that changes."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from services.core.errors import NotFound, Unavailable
from services.core.tfs_stubs import model_service_pb2_grpc
from services.gateway.backend import Backend
from tests.gateway.backend import TinyServer
from tests.gateway.names import name_server

pytestmark = pytest.mark.anyio
HOSTS = ("127.0.0.2", "127.0.0.3")


@asynccontextmanager
async def both() -> AsyncIterator[tuple[int, list[Any]]]:
    """Two servers on the same port of two addresses; each has a model named as its address."""
    with socket.create_server((HOSTS[0], 0)) as taken:
        port = taken.getsockname()[1]
    async with AsyncExitStack() as stack:
        servers = []
        for host in HOSTS:
            server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            model_service_pb2_grpc.add_ModelServiceServicer_to_server(TinyServer(loaded={host: {1: {}}}), server)
            server.add_insecure_port(f"{host}:{port}")
            await server.start()
            stack.push_async_callback(server.stop, None)
            servers.append(server)
        yield port, servers


async def who_answers(backend: Backend) -> str | None:
    """The address of the server that was asked; None when none answers."""
    for host in HOSTS:
        try:
            await backend.status(host, 5)
        except NotFound:
            continue
        except Unavailable:
            return None
        return host
    return None


async def test_of_several_addresses_behind_a_name_one_is_asked_and_when_it_goes_the_next() -> None:
    """So several model servers are named one by one, and a Service that has all of them is no way to share calls."""
    async with both() as (port, servers), name_server(*HOSTS) as (_, authority):
        backend = Backend(f"dns://{authority}/model-server.test:{port}")
        first = await who_answers(backend)
        assert first in HOSTS
        assert {await who_answers(backend) for _ in range(10)} == {first}
        await servers[HOSTS.index(first)].stop(None)
        answers = [await who_answers(backend) for _ in range(3)]
        assert answers[-1] in set(HOSTS) - {first}
        await backend.close()
