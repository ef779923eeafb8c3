"""The embedded server's REST door, as far as no recorded exchange tells (tests/conformance)."""

from __future__ import annotations

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
