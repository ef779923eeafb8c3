"""Bad input gets the same code over REST and gRPC, and a message with the rule and the value received."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from services.core.errors import HTTP_STATUS, Code
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import png
from tests.gateway.world import World, world

pytestmark = pytest.mark.anyio


def b64(data: bytes) -> dict[str, str]:
    """Bytes as JSON clients write them."""
    return {"b64": base64.b64encode(data).decode()}


@dataclass(frozen=True)
class Bad:
    """One bad request, as both doors can say it, and the answer both must give."""

    task: str
    model: str
    rows: list[dict[str, Any]]
    code: Code
    says: str
    options: dict[str, Any] = field(default_factory=dict)


BAD = {
    "unknown model": Bad("classify", "nobody", [{}], Code.NOT_FOUND, "The models here are affine, digits"),
    "impossible name": Bad("classify", "no body", [{}], Code.INVALID_ARGUMENT, "Received: 'no body'"),
    "wrong task": Bad("regress", "digits", [{"image_bytes": png()}], Code.INVALID_ARGUMENT, "answers .../classify"),
    "no instance": Bad("regress", "houses", [], Code.INVALID_ARGUMENT, "at least one instance"),
    "missing field": Bad("regress", "houses", [{}], Code.INVALID_ARGUMENT, "rooms"),
    "unknown field": Bad("regress", "houses", [{"rooms": 1.0, "size": 2.0}], Code.INVALID_ARGUMENT, "rooms, size"),
    "field missing in one": Bad("regress", "houses", [{"rooms": 1.0}, {}], Code.INVALID_ARGUMENT, "instance 1"),
    "text in a number": Bad("regress", "houses", [{"rooms": "six"}], Code.INVALID_ARGUMENT, "Received: 'six'"),
    "list for a number": Bad("regress", "houses", [{"rooms": np.ones(2)}], Code.INVALID_ARGUMENT, "of shape [2]"),
    "below the minimum": Bad("regress", "houses", [{"rooms": -1.0}], Code.INVALID_ARGUMENT, "at least 0"),
    "above the maximum": Bad("regress", "houses", [{"rooms": 101.0}], Code.INVALID_ARGUMENT, "at most 100"),
    "too large for float32": Bad("regress", "houses", [{"rooms": 1e39}], Code.INVALID_ARGUMENT, "1e+39"),
    "half a whole number": Bad("regress", "houses", [{"rooms": 1.0, "river": 0.5}], Code.INVALID_ARGUMENT, "whole"),
    "too large for int64": Bad("regress", "houses", [{"rooms": 1.0, "river": 1e30}], Code.INVALID_ARGUMENT, "1e+30"),
    "wrong shape": Bad("classify", "digits", [{"image": np.ones((2, 3))}], Code.INVALID_ARGUMENT, "[2, 3]"),
    "wrong rank": Bad("classify", "digits", [{"image": 3.0}], Code.INVALID_ARGUMENT, "shape [2, 2]"),
    "number for a picture": Bad("classify", "digits", [{"image_bytes": 3.0}], Code.INVALID_ARGUMENT, "Received: 3"),
    "text for a picture": Bad("classify", "digits", [{"image_bytes": "me"}], Code.INVALID_ARGUMENT, "Received: 'me'"),
    "not a picture": Bad("classify", "digits", [{"image_bytes": b"GIF89a"}], Code.INVALID_ARGUMENT, "b'GIF89a'"),
    "no bytes": Bad("classify", "digits", [{"image_bytes": b""}], Code.INVALID_ARGUMENT, "Received: 0 bytes"),
    "pixel bomb": Bad(
        "classify", "digits", [{"image_bytes": png(40000, 40000)}], Code.INVALID_ARGUMENT, "40000 x 40000"
    ),
    "8k picture to draw on": Bad(
        "generate_image", "painter", [{"image_bytes": png(7680, 4320)}], Code.INVALID_ARGUMENT, "7680 x 4320"
    ),
    "no picture to draw on": Bad(
        "generate_image", "painter", [{"image_bytes": b"style"}], Code.INVALID_ARGUMENT, "PNG or JPEG"
    ),
    "broken picture": Bad(
        "classify", "digits", [{"image_bytes": png() + b"broken"}], Code.INVALID_ARGUMENT, "Input is not a picture"
    ),
    "unknown signature": Bad(
        "regress", "houses", [{"rooms": 1.0}], Code.NOT_FOUND, "Received: signature 'x'", {"signature": "x"}
    ),
    "signature of another task": Bad(
        "generate_image",
        "painter",
        [{"image_bytes": png()}],
        Code.INVALID_ARGUMENT,
        "is for regress",
        {"signature": "encode"},
    ),
    "no fields that fit": Bad("generate_image", "painter", [{"size": 1.0}], Code.INVALID_ARGUMENT, "seed (signature"),
    "negative top_k": Bad(
        "classify", "digits", [{"image_bytes": png()}], Code.INVALID_ARGUMENT, "top_k", {"top_k": -1}
    ),
    "a threshold that is no chance": Bad(
        "classify", "reader", [{"text": "a"}], Code.INVALID_ARGUMENT, "from 0 to 1", {"threshold": 1.5}
    ),
    "nothing to explain with": Bad("explain", "houses", [{"rooms": 1.0}], Code.INVALID_ARGUMENT, "answers .../regress"),
    "a label that is none": Bad(
        "explain", "digits", [{"image_bytes": png(), "target": "nine"}], Code.INVALID_ARGUMENT, "Received: 'nine'"
    ),
    "half a class": Bad("explain", "digits", [{"image_bytes": png(), "target": 0.5}], Code.INVALID_ARGUMENT, "whole"),
    "explain without a picture": Bad("explain", "digits", [{"target": 1.0}], Code.INVALID_ARGUMENT, "if wanted alpha"),
    "explain no picture": Bad("explain", "digits", [{"image_bytes": b"me"}], Code.INVALID_ARGUMENT, "PNG or JPEG"),
    "explain by another task": Bad(
        "explain",
        "digits",
        [{"image_bytes": png()}],
        Code.INVALID_ARGUMENT,
        "is for classify",
        {"signature": "classify"},
    ),
    "too many instances": Bad("regress", "houses", [{"rooms": 1.0}] * 1025, Code.INVALID_ARGUMENT, "Received: 1025"),
    "unknown knob": Bad("generate_text", "writer", [{"prompt": "a", "mood": 1.0}], Code.INVALID_ARGUMENT, "mood"),
    "cold below zero": Bad(
        "generate_text", "writer", [{"prompt": "a", "temperature": -0.5}], Code.INVALID_ARGUMENT, "at least 0"
    ),
    "length beyond the cap": Bad(
        "generate_text", "writer", [{"prompt": "a", "length": 100_001}], Code.INVALID_ARGUMENT, "1 to 100000"
    ),
    "length below 1": Bad("generate_text", "writer", [{"prompt": "a", "length": -5}], Code.INVALID_ARGUMENT, "-5"),
    "text for a knob": Bad("generate_text", "writer", [{"prompt": "a", "seed": "x"}], Code.INVALID_ARGUMENT, "'x'"),
    "steps are not the client's": Bad(
        "generate_text", "writer", [{"prompt": "a", "steps": 3.0}], Code.INVALID_ARGUMENT, "length"
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_bad_input_has_one_code_and_one_message_on_rest_and_grpc(here: World, bad: Bad) -> None:
    rest = await ask_rest(here, bad)
    assert rest.status_code == HTTP_STATUS[bad.code], rest.text
    fault = rest.json()["error"]
    assert fault["code"] == bad.code.name
    assert bad.says in fault["message"]
    assert fault["request_id"] == rest.headers["x-request-id"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask_grpc(here, bad)
    assert caught.value.code().name == bad.code.name
    assert bad.says in (caught.value.details() or "")
    if bad.says not in ("[2, 3]", "of shape [2]"):  # NumPy's arrays and JSON's lists are shown differently
        assert _digest(caught.value.details() or "") == _digest(fault["message"])


async def ask_rest(here: World, bad: Bad) -> httpx.Response:
    """The bad request as JSON."""
    rows = [{name: _json(value) for name, value in row.items()} for row in bad.rows]
    body = {"instances": rows, **bad.options}
    if bad.task == "generate_text":
        body = {**rows[0], **bad.options}
    elif bad.task in ("generate_image", "explain"):
        body = {"instance": rows[0], **bad.options}
    return await here.rest.post(f"/api/models/{bad.model}/{bad.task.replace('_', '-')}", json=body)


async def ask_grpc(here: World, bad: Bad) -> None:
    """The same as protobuf."""
    model = pb.Model(name=bad.model)
    rows = [{name: as_value(value) for name, value in row.items() if name != "length"} for row in bad.rows]
    instances = [pb.Instance(inputs=row) for row in rows]
    if bad.task == "classify":
        await here.inference.Classify(pb.ClassifyRequest(model=model, instances=instances, **bad.options))
    elif bad.task == "regress":
        await here.inference.Regress(pb.RegressRequest(model=model, instances=instances, **bad.options))
    elif bad.task == "generate_image":
        request = pb.GenerateImageRequest(model=model, instance=instances[0], **bad.options)
        await here.inference.GenerateImage(request)
    elif bad.task == "explain":
        await here.inference.Explain(pb.ExplainRequest(model=model, instance=instances[0], **bad.options))
    else:
        prompt = rows[0].pop("prompt").text
        length = bad.rows[0].get("length", 10)
        async for _ in here.inference.GenerateText(
            pb.GenerateTextRequest(model=model, prompt=prompt, length=length, knobs=rows[0])
        ):
            pass


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64(value)
    return value.tolist() if isinstance(value, np.ndarray) else value


def as_value(value: Any) -> pb.Value:
    """A value as protobuf clients write it."""
    if isinstance(value, str):
        return pb.Value(text=value)
    if isinstance(value, bytes):
        return pb.Value(data=value)
    if isinstance(value, np.ndarray):
        return pb.Value(numbers=pb.Numbers(values=value.reshape(-1).tolist(), shape=value.shape))
    return pb.Value(number=value)


def _digest(text: str) -> str:
    """A message without its end, where a picture's {"b64"} or a list may be shown otherwise than bytes or an array."""
    return text.partition("Received")[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"instance": {"rooms": NaN}}', "no NaN"),
        (b'{"instance": {"rooms": Infinity}}', "no NaN"),
        (b'{"instance": {"rooms": 1e999}}', "1e999"),
        (b'{"instance": {"rooms": 1}', "..."),
        (b"", "an empty body"),
        (b"[1]", "one JSON object"),
        (b'{"instances": 3}', "Received: 3"),
        (b'{"instance": 3}', "Received: 3"),
        (b'{"instances": [3]}', "Instance 0"),
        (b'{"instance": {"rooms": null}}', "Received: None"),
        (b'{"instance": {"rooms": true}}', "Received: True"),
        (b'{"instance": {"rooms": {}}}', "Received: {}"),
        (b'{"instance": {"rooms": 1}, "instances": []}', "either"),
        (b'{"instance": {"rooms": 1}, "signatures": "x"}', "signatures"),
        (b'{"instance": {"rooms": 1}, "signature": 1}', "signature"),
        (b'{"instances": ' + b"[" * 900 + b"]" * 900 + b"}", "Instance 0"),
        (b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", "depth limit"),
        (b"\xff\xfe", "The body is JSON"),
        (b'{"instance": {"rooms": 123456789012345678901234567890}}', "at most 100"),
    ],
)
async def test_a_body_that_is_no_good_json_is_refused_with_its_fault(here: World, content: bytes, says: str) -> None:
    answer = await here.rest.post("/api/models/houses/regress", content=content)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize("rows", [[[0, 1], [0]], [[0, 1], [0, "x"]], [[0, 1], None], "abc", {}])
async def test_a_ragged_or_mixed_list_is_refused_with_the_instance_that_is_wrong(here: World, rows: Any) -> None:
    body = {"instances": [{"image": [[0, 1], [0, 1]]}, {"image": rows}]}
    answer = await here.rest.post("/api/models/digits/classify", json=body)
    assert answer.status_code == 400
    assert "image of instance 1" in answer.json()["error"]["message"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_nan_and_infinity_are_refused_over_grpc(here: World, number: float) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask_grpc(here, Bad("regress", "houses", [{"rooms": number}], Code.INVALID_ARGUMENT, ""))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"Received: {number}" in (caught.value.details() or "")


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    async with world(body_bytes=1000) as here:
        sent = 0

        async def stream() -> Any:
            nonlocal sent
            for _ in range(100):
                sent += 1
                yield b"x" * 100

        for content in (b"x" * 1001, stream()):
            answer = await here.rest.post("/api/models/digits/classify", content=content)
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "RESOURCE_EXHAUSTED"
            assert "at most 1000 bytes" in answer.json()["error"]["message"]
            assert "retry-after" not in answer.headers
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            bad = Bad("classify", "digits", [{"image_bytes": png() + bytes(1001)}], Code.RESOURCE_EXHAUSTED, "")
            await ask_grpc(here, bad)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_body_that_says_it_is_too_large_need_not_be_sent(here: World) -> None:
    url = here.rest.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /v1/models/affine:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
    async with asyncio.timeout(10):
        assert b" 429 " in await reader.readline()
    writer.close()


async def test_a_hundred_megabytes_are_refused_at_once(here: World) -> None:
    answer = await here.rest.post("/api/models/digits/classify", content=bytes(100_000_000))
    assert answer.status_code == 429
    assert (await here.rest.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("0", "DEADLINE_EXCEEDED"),
        ("-1", "DEADLINE_EXCEEDED"),
        ("soon", "INVALID_ARGUMENT"),
        ("nan", "INVALID_ARGUMENT"),
        ("1e9", "INVALID_ARGUMENT"),
    ],
)
async def test_a_time_budget_that_is_spent_or_no_number_is_refused(here: World, value: str, code: str) -> None:
    answer = await here.rest.post(
        "/api/models/houses/regress",
        json={"instance": {"rooms": 1}},
        headers={"X-Request-Timeout-Seconds": value},
    )
    assert answer.json()["error"]["code"] == code
    assert answer.status_code == HTTP_STATUS[Code[code]]
    assert not here.server.calls


async def test_unknown_versions_and_labels_are_named_with_those_there_are(here: World) -> None:
    body = {"instance": {"rooms": 1}}
    for form, says in (("versions/7", "has versions 1"), ("labels/canary", "has labels stable")):
        answer = await here.rest.post(f"/api/models/houses/{form}/regress", json=body)
        assert answer.status_code == 404
        assert says in answer.json()["error"]["message"]
    for version in ("x", "²", "0", "9" * 5000):
        answer = await here.rest.post(f"/api/models/houses/versions/{version}/regress", json=body)
        assert answer.status_code == 400
        assert "A version is a whole number" in answer.json()["error"]["message"]


async def test_uploads_that_do_not_fit_the_model_are_refused(here: World) -> None:
    picture = await here.rest.post("/api/models/houses/regress", content=png(), headers={"content-type": "image/png"})
    assert picture.status_code == 400
    assert "Received: a picture alone" in picture.json()["error"]["message"]
    uneven = await here.rest.post("/api/models/digits/classify", files=[("a", b"1"), ("a", b"2"), ("b", b"3")])
    assert "as many parts" in uneven.json()["error"]["message"]
    torn = await here.rest.post(
        "/api/models/digits/classify",
        content=b"--x\r\nnonsense",
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert torn.status_code == 400, torn.text
    form = await here.rest.post(
        "/api/models/digits/classify", content=b"", headers={"content-type": "multipart/form-data"}
    )
    assert form.status_code == 400, form.text


async def test_an_upload_to_explain_is_one_instance_with_numbers_that_are_some(here: World) -> None:
    path, image = "/api/models/digits/explain", {"content-type": "image/png"}
    two = await here.rest.post(path, files=[("image_bytes", png()), ("image_bytes", png())])
    assert "Received: 2" in two.json()["error"]["message"]
    for query, says in {
        "alpha=warm": "Received: 'warm'",
        "alpha=NaN": "Received: 'NaN'",
        "target=99999999999": "Received: 99999999999",
        "alpha=2": "at most 1",
        "depth=2": "Received: a picture and depth",
        "signature=nothing": "Received: signature 'nothing'",
    }.items():
        answer = await here.rest.post(f"{path}?{query}", content=png(), headers=image)
        assert answer.status_code == (404 if "signature" in query else 400), query
        assert says in answer.json()["error"]["message"]
    words = await here.rest.post("/api/models/reader/explain", json={"text": "a"}, headers={"Accept": "image/png"})
    assert "Received: 0 pictures" in words.json()["error"]["message"]


async def test_paths_and_methods_that_are_not_there_are_told_in_our_words(here: World) -> None:
    assert (await here.rest.get("/api/nothing")).json()["error"]["code"] == "NOT_FOUND"
    wrong = await here.rest.get("/api/models/digits/classify")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
