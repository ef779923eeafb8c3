"""Figures through the endpoint, and the page of results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from plugins.contract import BookFigure, Metric, OutputField, Samples, Task
from services.core.card import Card, SignatureCard
from services.core.errors import FailedPrecondition, InvalidArgument, NotFound
from services.core.refs import ModelRef
from services.trainer.results.measure import Served, measure, read_served, write_served
from services.trainer.results.table import Result, read_results, results_page, write_result
from services.trainer.run_record import MetricRecord
from tests.trainer.tiny_plugin import LABELS, Tiny, draw

SAMPLES = draw(130, 3)


SIGN = OutputField(name="sign", dtype="float32", content="scores", labels=LABELS)
FIRST = OutputField(name="first", dtype="float32", content="values")


def card_of(outputs: Sequence[OutputField]) -> Card:
    """A classifier's card with these outputs."""
    signature = SignatureCard(task=Task.CLASSIFY, inputs=(), outputs=tuple(outputs), example={})
    facts = {"model": "tiny", "task": "classify", "title": "", "description": "", "metrics": {}, "baseline": {}}
    lineage = {"plugin": "", "variant": "", "run": "", "seed": 1, "config": {}, "created": "2026-01-01T00:00:00Z"}
    return Card.model_validate({**facts, "signatures": {"classify": signature}, "lineage": lineage})


class Gateway:
    """A gateway in one function: `answer` makes each instance's prediction, by default by the first number's sign."""

    def __init__(self, versions: Iterable[int] = (3, 3, 3), outputs: Sequence[OutputField] = (SIGN,)) -> None:
        self.sizes: list[int] = []
        self.paths: list[str] = []
        self._versions = iter(versions)
        self._card = card_of(outputs)

    def answer(self, instance: dict[str, Any]) -> dict[str, Any]:
        return {"label": "positive" if instance["numbers"][0] > 0 else "negative"}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        self.paths.append(environ["PATH_INFO"])
        if environ["PATH_INFO"].startswith("/api/models/gone"):
            start("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"error": {"code": "NOT_FOUND", "message": "no such model"}}']
        start("200 OK", [("Content-Type", "application/json")])
        if environ["REQUEST_METHOD"] == "GET":
            return [json.dumps({"card": json.loads(self._card.model_dump_json())}).encode()]
        instances = json.loads(environ["wsgi.input"].read())["instances"]
        self.sizes.append(len(instances))
        answer = {"version": next(self._versions), "predictions": list(map(self.answer, instances))}
        return [json.dumps(answer).encode()]


class TwoHeads(Gateway):
    """One head says the sign, the other the first number, always half too high."""

    def answer(self, instance: dict[str, Any]) -> dict[str, Any]:
        values = {"values": [instance["numbers"][0] + 0.5], "unit": ""}
        return {"sign": super().answer(instance), "first": values}


def ask(gateway: Gateway, ref: str = "tiny", samples: Samples = SAMPLES) -> Served:
    with httpx.Client(base_url="http://gateway", transport=httpx.WSGITransport(gateway)) as client:
        return measure(Tiny(), samples, ModelRef(ref), client)


def test_the_accuracy_is_computed_from_the_labels_of_every_sample() -> None:
    gateway = Gateway()
    served = ask(gateway)
    right = (SAMPLES.inputs[:, 0] > 0) == SAMPLES.targets
    assert served.value == pytest.approx(right.mean())
    assert (served.samples, served.version) == (130, 3)
    assert gateway.sizes == [64, 64, 2]
    assert set(gateway.paths) == {"/api/models/tiny", "/api/models/tiny/classify"}


class BySign(Tiny):
    """Judged by one of its two heads."""

    metric = Metric("sign_accuracy", higher_is_better=True)


def test_each_head_has_its_figure_from_the_same_answers() -> None:
    samples = Samples(SAMPLES.inputs, {"sign": SAMPLES.targets[:, None], "first": SAMPLES.inputs[:, :1]})
    gateway = TwoHeads(outputs=(FIRST, SIGN))
    with httpx.Client(base_url="http://gateway", transport=httpx.WSGITransport(gateway)) as client:
        served = measure(BySign(), samples, ModelRef("tiny"), client)
    right = (SAMPLES.inputs[:, 0] > 0) == SAMPLES.targets
    assert served.metric == "sign_accuracy"
    assert served.value == pytest.approx(right.mean())
    assert served.others == {"first_mae": pytest.approx(0.5)}


def test_a_version_that_takes_over_half_way_spoils_the_figure() -> None:
    with pytest.raises(FailedPrecondition, match=r"versions \[3, 4\]"):
        ask(Gateway(versions=(3, 4, 4)))


def test_what_the_gateway_refuses_is_raised() -> None:
    with pytest.raises(NotFound, match="no such model"):
        ask(Gateway(), ref="gone")


class Lossy(Tiny):
    """Judged by a figure that no answer tells."""

    metric = Metric("loss", higher_is_better=False)


def test_a_figure_that_answers_do_not_tell_is_refused() -> None:
    with (
        httpx.Client(base_url="http://gateway", transport=httpx.WSGITransport(Gateway())) as client,
        pytest.raises(InvalidArgument, match=r"accuracy\. Received: loss"),
    ):
        measure(Lossy(), SAMPLES, ModelRef("tiny"), client)


def test_the_figure_is_kept_in_the_run_s_folder(tmp_path: Path) -> None:
    assert read_served(tmp_path) is None
    served = Served(model="tiny", version=1, metric="accuracy", value=0.5, samples=2)
    write_served(tmp_path, served)
    assert read_served(tmp_path) == served


def test_the_page_has_a_line_a_result(tmp_path: Path) -> None:
    result = Result(
        plugin="mnist",
        variant="dense",
        metric=MetricRecord(name="accuracy", higher_is_better=True),
        baseline=0.1135,
        book=BookFigure(metric="test accuracy", value=0.9785, section="2.1"),
        validated=0.97949,
        test=0.981,
        interval=(0.97812, 0.9838),
        served=0.9811,
        parameters=407_050,
        size=1_652_345,
        seed=1,
        epochs=5,
        seconds=31.4,
        day=date(2026, 1, 2),
        environment={"tensorflow": "2.20.0"},
        metrics={"accuracy": 0.981, "loss": 0.07, "seconds_off": 2.34567},
    )
    write_result(tmp_path, result)
    (line,) = [line for line in results_page(read_results(tmp_path)).splitlines() if line.startswith("| mnist")]
    assert line == (
        "| mnist | dense | accuracy | 0.1135 | 0.9785 (test accuracy, 2.1) | 0.9795 | 0.981 | 0.9781 to 0.9838 "
        "| 0.9811 | seconds_off 2.346 | 407,050 | 1.7 MB | 1 | 5 | 31 s "
        "| 2026-01-02, TensorFlow 2.20.0 |"
    )


def test_a_record_of_before_the_interval_has_a_line_too(tmp_path: Path) -> None:
    (tmp_path / "mnist-dense.json").write_text(
        '{"plugin": "mnist", "variant": "dense", "metric": {"name": "accuracy", "higher_is_better": true}, '
        '"baseline": null, "book": null, "validated": null, "test": 0.98, "served": null, "seed": 1, "epochs": 5, '
        '"seconds": 31, "day": "2026-01-02", "environment": {"tensorflow": "2.20.0"}}'
    )
    (line,) = [line for line in results_page(read_results(tmp_path)).splitlines() if line.startswith("| mnist")]
    assert line.startswith("| mnist | dense | accuracy |  |  |  | 0.98 |  |  |  |  |  | 1 |")
