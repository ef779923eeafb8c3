"""What a typed door tells of an answer: labels and scores, values and units, pictures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.core.card import OutputField
from services.core.errors import Internal, InvalidArgument
from services.core.tensors import Array
from services.gateway.request import Answer


@dataclass(frozen=True, slots=True)
class Classification:
    """One instance's labels, highest score first, and their float32 scores."""

    labels: Sequence[str]
    scores: Array


def check_top_k(top_k: int) -> int:
    """Return `top_k`, the labels to tell for each instance. Raises InvalidArgument for less than none."""
    if top_k < 0:
        raise InvalidArgument(f"top_k is the number of labels to tell, 0 for all. Received: {top_k}")
    return top_k


def classifications(answer: Answer, top_k: int) -> Sequence[Classification]:
    """One an instance; `top_k` 0 means all labels."""
    field = _outputs(answer, "scores")[0]
    scores = answer.columns[field.name]
    if scores.ndim != 2 or (field.labels and scores.shape[1] != len(field.labels)):
        raise Internal(f"{field.name} of {answer.servable.name} has one column a label. Received: {scores.shape}")
    labels = field.labels or tuple(map(str, range(scores.shape[1])))
    orders = np.argsort(-scores, axis=1, kind="stable")[:, : top_k or None]
    return [
        Classification([labels[column] for column in order], row[order])
        for order, row in zip(orders, scores, strict=True)
    ]


def regressions(answer: Answer) -> Sequence[Mapping[str, Array]]:
    """One an instance: values by output name."""
    names = [field.name for field in _outputs(answer, "values", "numbers")]
    return [{name: answer.columns[name][row] for name in names} for row in range(answer.columns[names[0]].shape[0])]


def units(answer: Answer) -> Mapping[str, str]:
    """The unit of each output that has one."""
    return {field.name: field.unit for field in _outputs(answer, "values", "numbers") if field.unit}


def pictures(answer: Answer) -> Sequence[bytes]:
    """All PNG pictures of the answer, in order; an output may hold several frames an instance.

    Rows of one call may hold different numbers of frames: empty strings fill the shorter ones.
    """
    return [data for field in _outputs(answer, "image") for data in answer.columns[field.name].flat if data]


def _outputs(answer: Answer, *contents: str) -> Sequence[OutputField]:
    """The card's outputs of these contents. Raises Internal when the version does not answer what its card says."""
    outputs = answer.servable.card.signatures[answer.signature].outputs
    fields = [field for field in outputs if field.content in contents]
    if not fields or any(field.name not in answer.columns for field in fields):
        raise Internal(
            f"Version {answer.servable.version} of {answer.servable.name} answers as its card says, with "
            f"{[field.name for field in outputs]}. Received: {sorted(answer.columns)}"
        )
    return fields
