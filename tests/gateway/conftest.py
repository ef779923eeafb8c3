"""One gateway a test module; its event loop lives as long."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateway.world import World, world


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """As in tests/conftest.py, for fixtures that outlive a test."""
    return "asyncio"


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[World]:
    """The default world of a module."""
    async with world() as made:
        yield made


@pytest.fixture
def here(shared: World) -> World:
    """The module's world, its memory of calls empty."""
    shared.server.calls.clear()
    return shared
