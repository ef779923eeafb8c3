"""The short way to a model."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from services.gateway.hot_paths import HotPaths

pytestmark = pytest.mark.anyio

TASKS = (("api", "classify"), ("api", "generate-text"), ("v2", "infer"), ("v2", "generate"), ("v2", "generate_stream"))


def endpoint(door: str, task: str) -> Any:
    """Says which it is, and which model was meant."""

    async def answer(http: Request) -> Response:
        parts = http.path_params
        return PlainTextResponse(f"{door} {task} {parts['model']} {parts['version']} {parts['label']}")

    return answer


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("the long way", 404)(scope, receive, send)


@pytest.mark.parametrize(("door", "task"), TASKS)
async def test_every_task_has_it_at_every_ref(door: str, task: str) -> None:
    app = HotPaths({key: endpoint(*key) for key in TASKS}, {}, endpoint("tfs", ""), nobody)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        for ref, told in (("", "None None"), ("/versions/3", "3 None"), ("/labels/canary", "None canary")):
            answer = await client.post(f"/{door}/models/m{ref}/{task}")
            assert answer.text == f"{door} {task} m {told}"
        assert (await client.get(f"/{door}/models/m/{task}")).text == "the long way"
        assert (await client.post(f"/{door}/models/m/nothing")).text == "the long way"
