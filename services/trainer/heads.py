"""A model's answers, head by head: one for most models, several for one that answers several questions at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.contract import EVALUATION_BATCH, Array, OutputField, Samples, Signature
from services.core.card import Expected, SignatureCard
from services.core.errors import InvalidArgument
from services.core.predictions import expected_of
from services.trainer.data import Part


@dataclass(frozen=True)
class Head:
    """One table of answers over the samples of a split, beside what is right."""

    field: OutputField
    figure: str  # what Keras calls its figure: accuracy or mae, of several heads behind the head's name
    targets: Array  # class numbers [N] or [N, 1], or values [N] or [N, K]
    predictions: Array  # scores [N, C], or values [N, K]

    @property
    def labels(self) -> Sequence[str]:
        """Names of the scores' columns; none where the answers are values."""
        if self.field.content != "scores":
            return ()
        return self.field.labels or tuple(map(str, range(self.predictions.shape[1])))

    def sample_scores(self) -> Array:
        """What each sample adds to the figure [N]: 1 or 0 for right or wrong, or the mean error of its values."""
        if self.field.content == "scores":
            return (self.predictions.argmax(axis=1) == self.targets.reshape(-1)).astype(np.float64)
        errors = np.abs(self.predictions.astype(np.float64) - self.targets.reshape(self.predictions.shape))
        return errors.mean(axis=1)


def head_fields(signatures: Mapping[str, Signature | SignatureCard]) -> Mapping[str, OutputField]:
    """The outputs of the first signature that a test split can judge, by figure.

    Labels that may hold together are none of them: they are right one by one.
    """
    outputs = next(iter(signatures.values())).outputs
    fields = [field for field in outputs if field.content in ("scores", "values") and not field.independent]
    figures = {field.name: "accuracy" if field.content == "scores" else "mae" for field in fields}
    return {(f"{field.name}_" if len(fields) > 1 else "") + figures[field.name]: field for field in fields}


def heads_of(fields: Mapping[str, OutputField], model: Any, samples: Samples) -> tuple[Head, ...]:
    """What the model in memory answers; heads whose answer is not one table of rows are left out."""
    if not fields or not len(samples):
        return ()
    answer = model.predict(samples.in_order(EVALUATION_BATCH), verbose=0)
    heads = []
    for figure, field in fields.items():
        table, targets = _of(answer, field), _of(samples.targets, field)
        if isinstance(table, np.ndarray) and table.ndim == 2:
            heads.append(Head(field, figure, targets, as_scores(table) if field.content == "scores" else table))
    return tuple(heads)


def check_targets(fields: Mapping[str, OutputField], part: Part) -> None:
    """Raises InvalidArgument where a head's targets are not class numbers of its scores, or not as many as its values.

    Of a class number that is too large TensorFlow says so on a processor only.
    """
    for field in fields.values():
        targets = _of(part.samples.targets, field)
        fault = _class_fault(field, targets) if field.content == "scores" else _value_fault(field, targets)
        if fault:
            raise InvalidArgument(f"load_data gives {fault} in {part.name}")


def expectations(signatures: Mapping[str, Signature | SignatureCard], heads: Sequence[Head]) -> Mapping[str, Expected]:
    """How the heads' answers are spread, by name; none for a name that is another output in some signature."""
    outputs = [field for signature in signatures.values() for field in signature.outputs]
    clear = [head for head in heads if all(head.field == one for one in outputs if one.name == head.field.name)]
    expected = {head.field.name: expected_of(head.field, head.predictions) for head in clear}
    return {name: one for name, one in expected.items() if one is not None}


def as_scores(answer: Array) -> Array:
    """Scores [N, C]; of a sigmoid's [N, 1], the chance of class 1, come the two columns that an endpoint answers."""
    return np.concatenate([1 - answer, answer], axis=1) if answer.shape[1] == 1 else answer


def _class_fault(field: OutputField, targets: Array) -> str:
    classes = len(field.labels) or (field.shape[-1] if field.shape else None)
    last = f"to {classes - 1}" if classes else "on"
    rule = f"class numbers as targets of {field.name}: whole, one a sample, from 0 {last}"
    whole = targets.dtype.kind in "iub" or (targets.dtype.kind == "f" and (targets == np.floor(targets)).all())
    if not whole or targets.size != len(targets):
        return f"{rule}. Received: {_told(targets)}"
    if targets.size and not 0 <= targets.min() <= targets.max() < (classes or math.inf):
        return f"{rule}. Received: {targets.min()} to {targets.max()}"
    return ""


def _value_fault(field: OutputField, targets: Array) -> str:
    width = field.shape[0] if len(field.shape) == 1 else None if field.shape else 1
    if width is None or targets.size == len(targets) * width:
        return ""
    return f"as many targets as {field.name} has values, {width} a sample. Received: {_told(targets)}"


def _told(targets: Array) -> str:
    return f"{targets.dtype} of shape {list(targets.shape)}"


def _of(columns: Any, field: OutputField) -> Any:
    """A head's column among several by name, or the only one there is."""
    if not isinstance(columns, Mapping):
        return columns
    if field.name not in columns:
        raise InvalidArgument(
            "A head of the first signature has the name of one of the model's outputs, and of its targets. "
            f"Received: {field.name}, and {', '.join(columns)}"
        )
    return columns[field.name]
