"""A model's figure as a client gets it: the test split sent to the gateway, the metric computed from the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Array, OutputField, Plugin, Samples
from services.core.card import Card
from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.gateway_client import as_json, call_gateway, model_path
from services.core.refs import ModelRef
from services.trainer.heads import head_fields

SERVED_NAME = "served.json"
_BATCH = 64


class Served(BaseModel):
    """A figure measured through the endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    version: int
    metric: str
    value: float
    samples: int
    others: Mapping[str, float] = Field(default_factory=dict, description="of a model's other heads, by figure")

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in {self.metric: self.value, **self.others}.items())
        return f"{self.model}/{self.version}: {figures} on {self.samples} samples"


def measure(plugin: Plugin[Any], samples: Samples, ref: ModelRef, gateway: httpx.Client) -> Served:
    """Send every sample as the raw request its plugin would: the accuracy by label or the mean absolute error, by head.

    `gateway` has the gateway's address as its base URL. Raises InvalidArgument for a plugin whose figure cannot be
    computed from answers, FailedPrecondition when a new version took over half-way, and what the gateway refuses with.
    """
    card = Card.model_validate(call_gateway(gateway, "GET", model_path(ref))["card"])
    fields = head_fields(card.signatures)
    if plugin.metric.name not in fields:
        raise InvalidArgument(
            f"Measured through the endpoint are of {plugin.name}: {', '.join(fields) or 'none'}. "
            f"Received: {plugin.metric.name}"
        )
    predictions, versions = [], set()
    for instances in _batches(plugin.requests(samples)):
        answer = call_gateway(gateway, "POST", f"{model_path(ref)}/{card.task}", {"instances": instances})
        predictions += answer["predictions"]
        versions.add(answer["version"])
    if len(versions) != 1 or len(predictions) != len(samples):
        raise FailedPrecondition(
            f"One version answers all {len(samples)} samples. "
            f"Received: {len(predictions)} answers from versions {sorted(versions)}"
        )
    figures = {}
    for name, field in fields.items():
        targets = samples.targets[field.name] if isinstance(samples.targets, Mapping) else samples.targets
        figures[name] = _figure(field, targets, [_told(one, field, len(fields) == 1) for one in predictions])
    return Served(
        model=ref.name,
        version=versions.pop(),
        metric=plugin.metric.name,
        value=figures.pop(plugin.metric.name),
        samples=len(predictions),
        others=figures,
    )


def write_served(run_folder: Path, served: Served) -> None:
    """Keep the figure beside the run's own."""
    (run_folder / SERVED_NAME).write_text(served.model_dump_json(indent=1) + "\n")


def read_served(run_folder: Path) -> Served | None:
    """The figure that was measured for a run, if it was."""
    path = run_folder / SERVED_NAME
    return Served.model_validate_json(path.read_text()) if path.exists() else None


def _batches(requests: Iterator[Mapping[str, Any]]) -> Iterator[list[Any]]:
    while chunk := [as_json(request) for request in islice(requests, _BATCH)]:
        yield chunk


def _told(prediction: Any, field: OutputField, alone: bool) -> Any:
    """A head's answer: its label or its values, in any of the forms that the gateway gives them."""
    head = prediction if alone and field.content == "scores" else prediction[field.name]
    return head.get("label", head.get("values")) if isinstance(head, Mapping) else head


def _figure(field: OutputField, targets: Array, answers: Sequence[Any]) -> float:
    """The share of samples whose best label is the right one, or the mean of |answer - target| over all values."""
    if field.content == "values":
        values = np.array(answers, np.float64)
        return float(np.mean(np.abs(values - targets.reshape(values.shape))))
    numbers = [int(target) for target in targets.reshape(-1)]
    right = [field.labels[number] if field.labels else str(number) for number in numbers]
    return float(np.mean([answer == label for answer, label in zip(answers, right, strict=True)]))
