"""One gateway a test module; its event loop lives as long."""

from __future__ import annotations

from collections.abc import AsyncIterator

import openai
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


@pytest.fixture
async def client(here: World) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's own client."""
    async with openai.AsyncOpenAI(base_url=f"{here.rest.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client
