"""A model's answers, head by head: one for most models, several for one that answers several questions at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.contract import EVALUATION_BATCH, Array, OutputField, Samples, Signature
from services.core.card import Expected, SignatureCard
from services.core.predictions import expected_of


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


def expectations(signatures: Mapping[str, Signature | SignatureCard], heads: Sequence[Head]) -> Mapping[str, Expected]:
    """How the heads' answers are spread, by name; none for a name that is another output in some signature."""
    outputs = [field for signature in signatures.values() for field in signature.outputs]
    clear = [head for head in heads if all(head.field == one for one in outputs if one.name == head.field.name)]
    expected = {head.field.name: expected_of(head.field, head.predictions) for head in clear}
    return {name: one for name, one in expected.items() if one is not None}


def as_scores(answer: Array) -> Array:
    """Scores [N, C]; of a sigmoid's [N, 1], the chance of class 1, come the two columns that an endpoint answers."""
    return np.concatenate([1 - answer, answer], axis=1) if answer.shape[1] == 1 else answer


def _of(columns: Any, field: OutputField) -> Any:
    """A head's column among several by name, or the only one there is."""
    return columns[field.name] if isinstance(columns, Mapping) else columns
