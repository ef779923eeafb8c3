"""The embedded server's REST door, as far as no recorded exchange tells (tests/conformance)."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.model_server.metrics import Metrics
from services.model_server.rest import RestApp, RestOptions
from services.model_server.runner import Runner
from services.model_server.server_core import ServerCore


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/v1/models/%ff", b"Could not find any versions of model \xff"),
        ("GET", "/v1/models/%ff/metadata", b"Servable not found for request: Latest(\xff)"),
        ("POST", "/v1/models/%ff:predict", b"Servable not found for request: Latest(\xff)"),
    ],
)
async def test_a_name_that_is_no_utf_8_is_no_models(method: str, path: str, text: bytes) -> None:
    nobody = cast(ServerCore, None)
    metrics = Metrics(CollectorRegistry())
    options = RestOptions(timeout_seconds=1, cors=False, metrics_path=None, check_method=False)
    app = RestApp(nobody, Runner(nobody, metrics), metrics, options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        answer = await client.request(method, path)
    assert (answer.status_code, text in answer.content) == (404, True), answer.content


class LongPage(Metrics):
    """Written only when it is allowed to end."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        self.may_end = threading.Event()

    def page(self) -> bytes:
        assert self.may_end.wait(5)
        return super().page()


@pytest.mark.anyio
async def test_others_are_answered_while_the_page_of_metrics_is_written() -> None:
    nobody = cast(ServerCore, None)
    metrics = LongPage()
    options = RestOptions(timeout_seconds=1, cors=False, metrics_path="/metrics", check_method=False)
    app = RestApp(nobody, Runner(nobody, metrics), metrics, options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        page = asyncio.create_task(client.get("/metrics"))
        await asyncio.sleep(0.01)
        assert (await client.get("/v1/models/%ff")).status_code == 404
        metrics.may_end.set()
        assert b":tensorflow:serving:request_count" in (await page).content
