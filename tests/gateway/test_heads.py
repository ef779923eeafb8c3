"""One answer form a kind of head, the same over REST and gRPC, whatever a model's heads are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.card import InputField, OutputField, SignatureCard, Task
from services.core.tensors import Array
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.backend import Model, Signature
from tests.gateway.world import World, eventually

pytestmark = pytest.mark.anyio

READER = "/api/models/reader/classify"
ROW = InputField(name="row", dtype="int64")


async def test_each_head_is_answered_by_its_name_in_its_own_form(here: World) -> None:
    answer = (await here.rest.post(READER, json={"instances": [{"text": "a"}, {"text": "see a toe"}]})).json()
    one, other = answer["predictions"]
    assert one == {
        "length": {"values": [1.0], "unit": "letters"},
        "size": {"label": "long", "score": 0.5, "scores": {"long": 0.5, "short": 0.5}},
        "vowels": {"labels": [], "scores": {"a": 0.25, "e": 0.0, "o": 0.0}},
    }
    assert other["vowels"] == {"labels": ["e"], "scores": {"e": 0.75, "a": 0.25, "o": 0.25}}


async def test_of_labels_that_may_hold_together_those_at_the_threshold_are_told(here: World) -> None:
    body: dict[str, Any] = {"instance": {"text": "a sea of eels at a bay"}, "signature": "topics"}
    instance = pb.Instance(inputs={"text": pb.Value(text="a sea of eels at a bay")})
    answer = (await here.rest.post(READER, json=body)).json()["predictions"]
    assert answer == [{"labels": ["a", "e"], "scores": {"a": 1.25, "e": 0.75, "o": 0.25}}]
    for threshold, labels in ((0.75, ["a", "e"]), (0.76, ["a"]), (0, ["a", "e", "o"]), (1, ["a"])):
        answer = (await here.rest.post(READER, json={**body, "threshold": threshold})).json()["predictions"]
        assert answer[0]["labels"] == labels
        reply = await here.inference.Classify(
            pb.ClassifyRequest(
                model=pb.Model(name="reader"), instances=[instance], signature="topics", threshold=threshold
            )
        )
        assert list(reply.predictions[0].labels) == labels
    answer = (await here.rest.post(READER, json={**body, "top_k": 1})).json()["predictions"]
    assert answer == [{"labels": ["a"], "scores": {"a": 1.25}}]


async def test_options_of_an_upload_stand_in_the_query(here: World) -> None:
    path = f"{READER}?signature=topics&threshold=0.8&top_k=2"
    answer = (await here.rest.post(path, files={"text": b"a sea of eels at a bay"})).json()["predictions"]
    assert answer == [{"labels": ["a"], "scores": {"a": 1.25, "e": 0.75}}]


async def test_a_second_output_stands_beside_a_regressions_values(here: World) -> None:
    forecast = np.array([[21.5], [19.0]], np.float32)
    naive = np.array([20.0, 20.0], np.float32)
    outputs = (
        OutputField(name="values", dtype="float32", shape=(1,), content="values", unit="degrees"),
        OutputField(name="naive", dtype="float32", content="numbers", unit="degrees"),
    )
    model = answering(Task.REGRESS, {"values": forecast, "naive": naive}, outputs)
    await go_live(here, "weather", model)
    answer = (await here.rest.post("/api/models/weather/regress", json={"instances": rows_of(2)})).json()
    assert answer["predictions"] == [{"values": [21.5], "naive": 20.0}, {"values": [19.0], "naive": 20.0}]
    assert answer["units"] == {"values": "degrees", "naive": "degrees"}
    reply = await here.inference.Regress(
        pb.RegressRequest(model=pb.Model(name="weather"), instances=[as_proto(row) for row in rows_of(2)])
    )
    assert [list(one.values["values"].values) for one in reply.predictions] == [[21.5], [19.0]]
    assert [list(one.values["naive"].shape) for one in reply.predictions] == [[], []]
    assert dict(reply.units) == answer["units"]


# --- any mix of heads -----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["age", "income", "gender", "scores", "label", "é è"])
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0])
NUMBERS = st.floats(-1e6, 1e6, width=32)


@st.composite
def heads(draw: st.DrawFn, name: str, rows: int) -> tuple[OutputField, Array]:
    """A head and its column of `rows` answers."""
    if draw(st.booleans()):
        shape = draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
        numbers = draw(st.lists(NUMBERS, min_size=rows * int(np.prod(shape)), max_size=rows * int(np.prod(shape))))
        field = OutputField(
            name=name, dtype="float32", shape=shape, content="values", unit=draw(st.sampled_from(["", "years"]))
        )
        return field, np.array(numbers, np.float32).reshape(rows, *shape)
    width = draw(st.integers(1, 4))
    scores = draw(st.lists(SCORES, min_size=rows * width, max_size=rows * width))
    labels = draw(st.sampled_from([(), ("low", "high", "ü", "")[:width]]))
    independent = draw(st.booleans())
    field = OutputField(
        name=name, dtype="float32", shape=(width,), content="scores", labels=labels, independent=independent
    )
    return field, np.array(scores, np.float32).reshape(rows, width)


@st.composite
def mixes(draw: st.DrawFn) -> tuple[Model, int]:
    """A model of one to four heads, and how many rows it has answers for."""
    rows = draw(st.integers(1, 3))
    drawn = [draw(heads(name, rows)) for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))]
    columns = {field.name: column for field, column in drawn}
    return answering(Task.CLASSIFY, columns, tuple(field for field, _ in drawn)), rows


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(mix=mixes(), top_k=st.integers(0, 3), threshold=st.none() | SCORES)
async def test_rest_and_grpc_give_the_same_answers_for_any_mix_of_heads(
    shared: World, mix: tuple[Model, int], top_k: int, threshold: float | None
) -> None:
    model, rows = mix
    await go_live(shared, "mix", model)
    options: dict[str, Any] = {"top_k": top_k} | ({} if threshold is None else {"threshold": threshold})
    answer = await shared.rest.post("/api/models/mix/classify", json={"instances": rows_of(rows), **options})
    request = pb.ClassifyRequest(
        model=pb.Model(name="mix"), instances=[as_proto(row) for row in rows_of(rows)], **options
    )
    reply = await shared.inference.Classify(request)
    outputs = model["classify"].card.outputs
    told = [from_json(prediction, outputs) for prediction in answer.json()["predictions"]]
    assert told == [from_proto(prediction, outputs) for prediction in reply.predictions]
    assert len(told) == rows


def answering(task: Task, columns: Mapping[str, Array], outputs: tuple[OutputField, ...]) -> Model:
    """A model that answers row by row what it was made with."""
    card = SignatureCard(task=task, inputs=(ROW,), outputs=outputs, example={})

    def function(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return {name: column[inputs["row"]] for name, column in columns.items()}

    return {task.value: Signature(card, function)}


async def go_live(here: World, name: str, model: Model) -> None:
    """Publish and wait until it is this version that answers."""
    version = here.go_live(name, model)

    async def there() -> bool:
        answer = await here.rest.get(f"/api/models/{name}")
        return answer.status_code == 200 and answer.json()["version"] == version

    await eventually(there)


def rows_of(count: int) -> list[dict[str, int]]:
    return [{"row": number} for number in range(count)]


def as_proto(row: Mapping[str, int]) -> pb.Instance:
    return pb.Instance(inputs={name: pb.Value(number=value) for name, value in row.items()})


def by_head(prediction: Any, outputs: tuple[OutputField, ...]) -> list[tuple[OutputField, Any]]:
    """A prediction of either door with the head that each part of it belongs to."""
    if [field.content for field in outputs] == ["scores"]:
        return [(outputs[0], prediction)]
    heads = prediction if isinstance(prediction, dict) else prediction.heads
    assert heads.keys() == {field.name for field in outputs}
    return [(field, heads[field.name]) for field in outputs]


def from_json(prediction: Any, outputs: tuple[OutputField, ...]) -> Any:
    """A prediction over REST as plain values."""
    told: list[Any] = []
    for field, head in by_head(prediction, outputs):
        if field.content == "values":
            values = np.array(head["values"], np.float32)
            told.append((values.ravel().tolist(), values.shape, head["unit"]))
        else:
            scores = [(label, np.float32(score)) for label, score in head["scores"].items()]
            told.append((head["labels"] if field.independent else (head["label"], np.float32(head["score"])), scores))
    return told


def from_proto(prediction: Any, outputs: tuple[OutputField, ...]) -> Any:
    """The same over gRPC."""
    told: list[Any] = []
    for field, head in by_head(prediction, outputs):
        if field.content == "values":
            told.append((list(head.values.values), tuple(head.values.shape), head.unit))
        else:
            scores = [(one.label, np.float32(one.score)) for one in head.scores]
            told.append((list(head.labels) if field.independent else (head.label, np.float32(head.score)), scores))
    return told
