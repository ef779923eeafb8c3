"""What reading the routing table anew costs where there are many models: what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from services.core.card import CARD_PATH
from services.gateway.backend import Backend
from services.gateway.router import Router
from services.gateway.routing_table import RoutingTable
from services.store import Store, open_store
from tests.gateway.backend import TinyServer, serving
from tests.gateway.models import AFFINE, card_of

pytestmark = pytest.mark.anyio

NAMES = [f"m{number:03}" for number in range(100)]


@dataclass
class Counting(TinyServer):
    """How many questions about signatures it had, and how many at once."""

    asked: int = 0
    waiting: int = 0
    most: int = 0

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """As ever, after a while."""
        self.asked += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0.1)
        self.waiting -= 1
        return await super().GetModelMetadata(request, context)


@asynccontextmanager
async def routed(folder: Path) -> AsyncIterator[tuple[Store, Counting, Router]]:
    """A hundred models, all there, after the first reading."""

    async def heard(table: RoutingTable) -> None:
        """Nobody."""

    store, server = open_store(str(folder)), Counting({name: {1: AFFINE} for name in NAMES})
    for name in NAMES:
        publish(store, name)
        store.move_label(name, "stable", 1)
    async with serving(server) as listener:
        backend = Backend(listener.address)
        router = Router(store, [backend], heard)
        await router.refresh()
        yield store, server, router
        await backend.close()


def publish(store: Store, name: str) -> None:
    """The next version."""
    with TemporaryDirectory() as folder:
        card = Path(folder) / CARD_PATH
        card.parent.mkdir()
        card.write_text(card_of(name, AFFINE).model_dump_json())
        store.publish(name, Path(folder))


async def test_a_server_is_asked_a_few_questions_at_once_however_many_models_are_new(tmp_path: Path) -> None:
    async with routed(tmp_path) as (_, server, router):
        assert [name for name, routes in router.table.models.items() if routes.default in routes.servables] == NAMES
        assert server.asked == len(NAMES) and server.most <= 64


async def test_only_models_of_which_something_has_changed_are_made_anew(tmp_path: Path) -> None:
    async with routed(tmp_path) as (store, server, router):
        before = router.table.models
        for name in NAMES[:3]:
            publish(store, name)
        store.move_label(NAMES[0], "stable", 2)  # which is not there yet
        server.loaded[NAMES[1]] = {1: AFFINE, 2: AFFINE}  # which no label names
        del server.loaded[NAMES[2]]  # which was there
        for _ in range(4):  # of models at rest 32 are asked about at a time
            await router.refresh()
        after = router.table.models
        assert [name for name in NAMES if after[name] is not before[name]] == NAMES[:3]
        assert after[NAMES[0]].routed == {"stable": 1} and after[NAMES[0]].labels == {"stable": 2}
        assert set(after[NAMES[1]].servables) == {1, 2}
        assert not after[NAMES[2]].servables
        assert server.asked == len(NAMES) + 1


async def test_a_version_that_could_not_be_called_is_tried_again_though_nothing_has_changed(tmp_path: Path) -> None:
    async with routed(tmp_path) as (_, server, router):
        card = tmp_path / NAMES[0] / "2" / CARD_PATH
        publish(open_store(str(tmp_path)), NAMES[0])
        content = card.read_text()
        card.write_text("{")
        server.loaded[NAMES[0]] = {1: AFFINE, 2: AFFINE}
        for _ in range(4):
            await router.refresh()
        assert set(router.table.models[NAMES[0]].faults) == {2}
        card.write_text(content)
        await router.refresh()
        assert set(router.table.models[NAMES[0]].servables) == {1, 2}
