"""A model's figure as a client gets it: the test split sent to the gateway, the metric computed from the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import numpy as np
from pydantic import BaseModel, ConfigDict

from plugins.contract import Array, Plugin, Samples
from services.core.card import Task
from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.gateway_client import as_json, call_gateway, model_path
from services.core.refs import ModelRef

SERVED_NAME = "served.json"
_BATCH = 64
# What can be computed from answers alone: by task, the verb of the door and the metric's name.
_MEASURABLE: Mapping[Task, tuple[str, str]] = MappingProxyType(
    {Task.CLASSIFY: ("classify", "accuracy"), Task.REGRESS: ("regress", "mae")}
)


class Served(BaseModel):
    """A figure measured through the endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    version: int
    metric: str
    value: float
    samples: int


def measure(plugin: Plugin[Any], samples: Samples, ref: ModelRef, gateway: httpx.Client) -> Served:
    """Send every sample as the raw request its plugin would: the accuracy by label, or the mean absolute error.

    `gateway` has the gateway's address as its base URL. Raises InvalidArgument for a plugin whose figure cannot be
    computed from answers, FailedPrecondition when a new version took over half-way, and what the gateway refuses with.
    """
    verb, metric = _MEASURABLE.get(plugin.task, ("", ""))
    if metric != plugin.metric.name:
        raise InvalidArgument(
            "Measured through the endpoint are accuracy (classify) and mae (regress). "
            f"Received: {plugin.metric.name} ({plugin.task.value}) of {plugin.name}"
        )
    predictions, versions = [], set()
    for instances in _batches(plugin.requests(samples)):
        answer = call_gateway(gateway, "POST", f"{model_path(ref)}/{verb}", {"instances": instances})
        predictions += answer["predictions"]
        versions.add(answer["version"])
    if len(versions) != 1 or len(predictions) != len(samples):
        raise FailedPrecondition(
            f"One version answers all {len(samples)} samples. "
            f"Received: {len(predictions)} answers from versions {sorted(versions)}"
        )
    value = _FIGURES[plugin.task](plugin.labels, samples.targets, predictions)
    return Served(model=ref.name, version=versions.pop(), metric=metric, value=value, samples=len(predictions))


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


def _accuracy(labels: Sequence[str], targets: Array, predictions: Sequence[Any]) -> float:
    """The share of samples whose best label is the right one."""
    right = [labels[int(target)] for target in targets.reshape(-1)]
    return float(np.mean([prediction["label"] == label for prediction, label in zip(predictions, right, strict=True)]))


def _mae(labels: Sequence[str], targets: Array, predictions: Sequence[Any]) -> float:
    """The mean of |answer - target| over all values."""
    values = np.array([prediction["values"] for prediction in predictions], np.float64)
    return float(np.mean(np.abs(values - targets.reshape(values.shape))))


_FIGURES = MappingProxyType({Task.CLASSIFY: _accuracy, Task.REGRESS: _mae})
