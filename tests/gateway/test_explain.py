"""Explanations: pictures, arrays and words, asked for in every form that a door takes."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import png
from tests.gateway.test_bad_input import as_value, b64
from tests.gateway.world import World

pytestmark = pytest.mark.anyio

DIGITS, READER = "/api/models/digits/explain", "/api/models/reader/explain"
PNG = {"Accept": "image/png"}
IMAGE = {"content-type": "image/png"}


def light(target: int, alpha: float) -> dict[str, Any]:
    """What `digits` explains with, in JSON."""
    return {
        "model": "digits",
        "version": 1,
        "images": [b64(png(salt=target))],
        "attributions": [],
        "arrays": {"heatmap": [[target + alpha] * 3] * 2},
    }


async def test_one_picture_is_explained_in_json_an_upload_or_as_the_body(here: World) -> None:
    fields = {"image_bytes": b64(png()), "target": 2, "alpha": 0.25}
    asked = [
        await here.rest.post(DIGITS, json=fields),
        await here.rest.post(DIGITS, json={"instance": fields, "signature": "explain"}),
        await here.rest.post(f"{DIGITS}?target=2&alpha=0.25", content=png(), headers=IMAGE),
        await here.rest.post(f"{DIGITS}?alpha=0.25", files={"image_bytes": png()}, data={"target": "2"}),
        await here.rest.post(f"{DIGITS}?signature=explain&target=two&alpha=0.25", content=png(), headers=IMAGE),
    ]
    assert [answer.json() for answer in asked] == [light(2, 0.25)] * len(asked)
    reply = await here.inference.Explain(request("digits", image_bytes=png(), target=2.0, alpha=0.25))
    assert (reply.model, reply.version, list(reply.images)) == ("digits", 1, [png(salt=2)])
    assert list(reply.arrays["heatmap"].values) == [2.25] * 6
    assert list(reply.arrays["heatmap"].shape) == [2, 3]


async def test_what_is_left_out_is_what_the_card_says(here: World) -> None:
    answer = await here.rest.post(DIGITS, content=png(), headers=IMAGE)
    assert answer.json() == light(-1, 0.5)


@pytest.mark.parametrize(("label", "number"), [("zero", 0), ("two", 2)])
async def test_a_target_may_be_a_label(here: World, label: str, number: int) -> None:
    answer = await here.rest.post(DIGITS, json={"image_bytes": b64(png()), "target": label})
    assert answer.json() == light(number, 0.5)
    reply = await here.inference.Explain(request("digits", image_bytes=png(), target=label))
    assert list(reply.images) == [png(salt=number)]


@pytest.mark.parametrize(("label", "number"), [("a", 0), ("o", 2)])
async def test_a_target_may_be_a_label_of_the_head_that_fits_it(here: World, label: str, number: int) -> None:
    answer = await here.rest.post(READER, json={"text": "the soul", "target": label})
    assert answer.json()["arrays"] == {"target": number}


@pytest.mark.parametrize("target", ["short", "x", [1, 2]])
async def test_a_target_that_is_no_label_of_that_head_is_refused(here: World, target: Any) -> None:
    answer = await here.rest.post(READER, json={"text": "the soul", "target": target})
    assert answer.status_code == 400
    assert "target" in answer.json()["error"]["message"]
    if isinstance(target, list):
        asked = request("reader", text="the soul")
        asked.instance.inputs["target"].numbers.values.extend(target)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await here.inference.Explain(asked)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_single_picture_comes_as_png_to_who_accepts_that(here: World) -> None:
    answer = await here.rest.post(f"{DIGITS}?target=1", content=png(), headers={**IMAGE, **PNG})
    assert (answer.headers["content-type"], answer.content) == ("image/png", png(salt=1))


async def test_further_explanations_are_chosen_by_signature_or_by_their_fields(here: World) -> None:
    for query in ("count=2", "count=2&signature=activations"):
        answer = await here.rest.post(f"{DIGITS}?{query}", content=png(), headers=IMAGE)
        assert answer.json()["images"] == [b64(png(salt=0)), b64(png(salt=1))]
    several = await here.rest.post(f"{DIGITS}?count=2", content=png(), headers={**IMAGE, **PNG})
    assert several.status_code == 400
    assert "Received: 2 pictures" in several.json()["error"]["message"]
    reply = await here.inference.Explain(request("digits", "activations", image_bytes=png(), count=3.0))
    assert list(reply.images) == [png(salt=at) for at in range(3)]


async def test_words_come_with_what_each_adds_and_without_what_fills_up_the_row(here: World) -> None:
    rows = [{"text": text, "target": -1} for text in ("a", "the soul is")]
    longest = {"instances": rows, "signature_name": "explain"}
    padded = (await here.rest.post("/v1/models/reader:predict", json=longest)).json()["predictions"]
    assert padded[0]["words"] == ["a", "", ""]
    answer = await here.rest.post(READER, json={"text": "the soul ü"})
    words = [("the", 1.5), ("soul", 2.0), ("ü", 1.0)]
    assert answer.json() == {
        "model": "reader",
        "version": 1,
        "images": [],
        "attributions": [{"word": word, "attribution": attribution} for word, attribution in words],
        "arrays": {"target": -1},
    }
    reply = await here.inference.Explain(request("reader", text="the soul ü"))
    assert [(one.word, one.attribution) for one in reply.attributions] == words


async def test_a_text_of_no_words_has_nothing_to_tell(here: World) -> None:
    assert (await here.rest.post(READER, json={"text": ""})).json()["attributions"] == []


def request(model: str, signature: str = "", **fields: Any) -> pb.ExplainRequest:
    """A request over gRPC."""
    instance = pb.Instance(inputs={name: as_value(value) for name, value in fields.items()})
    return pb.ExplainRequest(model=pb.Model(name=model), instance=instance, signature=signature)
