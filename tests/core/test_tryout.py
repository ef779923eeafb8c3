"""The lines a person pastes."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from services.core.card import Card, InputField, Lineage, SignatureCard, Task
from services.core.tryout import Gateway, try_out
from services.stubs.tensorgate.v1 import inference_pb2

GATEWAY = Gateway("http://127.0.0.1:8080", "127.0.0.1:8090")
PNG = b"\x89PNG\r\n\x1a\n..."


def card_of(task: Task, inputs: Sequence[InputField], example: Mapping[str, Any]) -> Card:
    signature = SignatureCard(task=task, inputs=tuple(inputs), outputs=(), example=example)
    lineage = Lineage(plugin="p", variant="v", run="r", seed=1, config={}, created=datetime.now(UTC))
    described = {"model": "m", "task": task, "title": "", "description": "", "signatures": {"s": signature}}
    return Card.model_validate({**described, "metrics": {}, "baseline": {}, "lineage": lineage})


def _json_after(line: str, flag: str) -> Any:
    words = shlex.split(line)
    return json.loads(words[words.index(flag) + 1])


def test_named_numbers_are_sent_as_one_instance() -> None:
    fields = [InputField(name=name, dtype="float32") for name in ("rooms", "tax")]
    curl, grpc = try_out(card_of(Task.REGRESS, fields, {"rooms": 6.5, "tax": 300}), GATEWAY, Path()).lines
    assert _json_after(curl, "--json") == {"instance": {"rooms": 6.5, "tax": 300}}
    assert curl.endswith("http://127.0.0.1:8080/api/models/m/regress")
    # What grpcurl does with the body: Protobuf's own JSON mapping, which refuses names that the contract has not.
    request = json_format.ParseDict(_json_after(grpc, "-d"), inference_pb2.RegressRequest())
    assert request.instances[0].inputs["rooms"].number == 6.5
    assert grpc.endswith("127.0.0.1:8090 tensorgate.v1.Inference/Regress")


def test_an_example_that_nobody_would_paste_is_sent_from_files() -> None:
    field = InputField(name="pixels", dtype="float32", shape=(28, 28))
    pixels = [[row + column / 100 for column in range(28)] for row in range(28)]
    trial = try_out(card_of(Task.CLASSIFY, [field], {"pixels": pixels}), GATEWAY, Path("my examples"))
    curl, grpc = map(shlex.split, trial.lines)
    assert curl[curl.index("--json") + 1] == "@my examples/m.json"
    assert json.loads(trial.files[Path("my examples/m.json")]) == {"instance": {"pixels": pixels}}
    assert grpc[-2:] == ["<", "my examples/m.grpc.json"]
    request = json_format.Parse(trial.files[Path("my examples/m.grpc.json")], inference_pb2.ClassifyRequest())
    numbers = request.instances[0].inputs["pixels"].numbers
    assert list(numbers.shape) == [28, 28] and list(numbers.values) == [one for row in pixels for one in row]


def test_a_picture_is_posted_from_a_file_that_is_the_cards_example() -> None:
    field = InputField(name="image_bytes", dtype="string", content="image")
    example = {"image_bytes": {"b64": base64.b64encode(PNG).decode()}}
    trial = try_out(card_of(Task.CLASSIFY, [field], example), GATEWAY, Path("my examples"))
    assert trial.files[Path("my examples/m.png")] == PNG
    curl, grpc = map(shlex.split, trial.lines)
    assert curl[curl.index("--data-binary") + 1] == "@my examples/m.png"
    assert "Content-Type: image/png" in curl
    assert grpc[-2:] == ["<", "my examples/m.grpc.json"]
    body = trial.files[Path("my examples/m.grpc.json")].decode()
    request = json_format.Parse(body, inference_pb2.ClassifyRequest())
    assert request.instances[0].inputs["image_bytes"].data == PNG


def test_text_is_asked_for_as_a_stream_with_the_examples_knobs() -> None:
    fields = [InputField(name="prompt", dtype="string", content="text"), InputField(name="steps", dtype="int32")]
    example = {"prompt": "the soul", "steps": 8, "temperature": 0.5}
    curl, grpc = try_out(card_of(Task.GENERATE_TEXT, fields, example), GATEWAY, Path()).lines
    assert _json_after(curl, "--json") == {"prompt": "the soul", "temperature": 0.5, "length": 200}
    assert "text/event-stream" in curl
    request = json_format.ParseDict(_json_after(grpc, "-d"), inference_pb2.GenerateTextRequest())
    assert request.knobs["temperature"].number == 0.5


def explaining(card: Card, example: Mapping[str, Any]) -> Card:
    """The card of a model that explains its answers, too."""
    explain = SignatureCard(task=Task.EXPLAIN, inputs=(), outputs=(), example=example)
    return card.model_copy(update={"signatures": {**card.signatures, "explain": explain}})


def test_a_model_that_explains_its_answers_has_a_line_for_that() -> None:
    card = card_of(Task.CLASSIFY, [InputField(name="text", dtype="string", content="text")], {"text": "so good"})
    *_, line = try_out(explaining(card, {"text": "so bad"}), GATEWAY, Path()).lines
    assert _json_after(line, "--json") == {"instance": {"text": "so bad"}}
    assert line.endswith("/api/models/m/explain")
    field = InputField(name="image_bytes", dtype="string", content="image")
    card = card_of(Task.CLASSIFY, [field], {"image_bytes": {"b64": base64.b64encode(PNG).decode()}})
    *_, line = try_out(explaining(card, {}), GATEWAY, Path("examples")).lines
    assert "--data-binary @examples/m.png -H 'Accept: image/png' -o m.explained.png" in line
