"""TensorFlow Serving's REST door."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from services.core.tfs_json_examples import decode_examples
from tests.gateway.models import png
from tests.gateway.test_bad_input import b64
from tests.gateway.world import World

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("affine", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        ("affine", {"instances": [{"x": 1.0}]}, {"predictions": [2.5]}),
        ("affine", {"inputs": [1.0, 2.0]}, {"outputs": [2.5, 3.0]}),
        ("affine", {"inputs": {"x": [4]}, "signature_name": "serving_default"}, {"outputs": [4.0]}),
        ("affine/versions/1", {"instances": [1.0]}, {"predictions": [2.5]}),
        ("affine/labels/stable", {"instances": [1.0]}, {"predictions": [2.5]}),
        ("%61ffine/VERSIONS/1", {"instances": [1.0]}, {"predictions": [2.5]}),
        (
            "houses",
            {"signature_name": "regress", "instances": [{"rooms": 2, "river": 1}]},
            {"predictions": [[21.0]]},
        ),
    ],
)
async def test_predict_answers_as_tensorflow_serving_does(here: World, path: str, body: Any, answer: Any) -> None:
    response = await here.rest.post(f"/v1/models/{path}:predict", json=body)
    assert response.status_code == 200, response.text
    assert response.json() == answer


async def test_nan_and_infinity_go_in_and_out(here: World) -> None:
    response = await here.rest.post("/v1/models/affine:predict", content=b'{"instances": [NaN, -Infinity, 2]}')
    assert response.content.replace(b" ", b"").replace(b"\n", b"") == b'{"predictions":[NaN,-Infinity,3.0]}'


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("nobody:predict", b"{}", 404, "Servable not found for request: Latest(nobody)"),
        ("affine/versions/7:predict", b"{}", 404, "Servable not found for request: Specific(affine, 7)"),
        ("affine/labels/canary:predict", b"{}", 400, "Unrecognized servable version label: canary"),
        ("affine:predict", b"{}", 400, "Missing 'inputs' or 'instances' key"),
        ("affine:predict", b"", 400, "JSON Parse error: The document is empty"),
        (
            "affine:predict",
            b'{"signature_name": "x", "instances": [1]}',
            400,
            'Serving signature name: "x" not found in signature def',
        ),
        ("affine:PREDICT", b"{}", 400, "Malformed request: POST /v1/models/affine:PREDICT"),
        ("affine", b"{}", 400, "Malformed request: POST /v1/models/affine"),
        ("affine/versions/x:predict", b"{}", 400, "Malformed request: POST /v1/models/affine/versions/x:predict"),
    ],
)
async def test_errors_have_tensorflow_servings_texts(
    here: World, path: str, body: bytes, status: int, text: str
) -> None:
    response = await here.rest.post(f"/v1/models/{path}", content=body)
    assert (response.status_code, response.json()) == (status, {"error": text})


async def test_a_picture_that_is_none_is_refused_at_this_door_too(here: World) -> None:
    body = {"signature_name": "classify", "instances": [{"image_bytes": b64(b"no picture")}]}
    response = await here.rest.post("/v1/models/digits:predict", json=body)
    assert response.status_code == 400
    assert "encoded PNG or JPEG" in response.json()["error"]
    body["instances"] = [{"image_bytes": b64(png())}]
    response = await here.rest.post("/v1/models/digits:predict", json=body)
    assert len(response.json()["predictions"][0]) == 3


async def test_status_and_metadata_are_the_model_servers(here: World) -> None:
    status = (await here.rest.get("/v1/models/affine")).json()
    assert status == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    missing = await here.rest.get("/v1/models/nobody")
    assert (missing.status_code, missing.json()) == (404, {"error": "Could not find any versions of model nobody"})
    metadata = (await here.rest.get("/v1/models/affine/metadata")).json()
    assert metadata["model_spec"] == {"name": "affine", "version": "1", "signature_name": ""}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["inputs"]["x"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]


async def test_while_a_long_body_of_examples_is_read_others_are_answered(here: World) -> None:
    body = json.dumps({"examples": [{"x": 1}] * 200_000}).encode()
    loop = asyncio.get_running_loop()
    began = loop.time()
    decode_examples(body, "classify")
    alone = loop.time() - began
    asking, longest = asyncio.create_task(here.rest.post("/v1/models/affine:classify", content=body)), 0.0
    while not asking.done():
        began = loop.time()
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - began)
    assert (await asking).status_code == 400
    assert longest < alone / 2
