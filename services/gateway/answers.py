"""What a typed door tells of an answer: labels and scores, values and units, pictures, explanations. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.core.card import OutputField
from services.core.errors import Internal, InvalidArgument
from services.core.tensors import Array
from services.gateway.request import Answer

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """What a client asks of labels: how many to tell (0: all), and of those that may hold together from which score."""

    top_k: int = 0
    threshold: float = DEFAULT_THRESHOLD


@dataclass(frozen=True, slots=True)
class Classification:
    """One instance's labels, highest score first, and their float32 scores.

    `chosen`: of labels that may hold together those at or above the threshold; None where one holds.
    """

    labels: Sequence[str]
    scores: Array
    chosen: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """One instance's values of one head, in its unit."""

    values: Array
    unit: str


Head = Classification | Values


@dataclass(frozen=True, slots=True)
class Explanation:
    """Pictures, words with what each adds to the explained score, and arrays by output name."""

    images: Sequence[bytes]
    attributions: Sequence[tuple[str, float]]
    arrays: Mapping[str, Array]


def choice_of(top_k: int, threshold: float) -> Choice:
    """The options, checked. Raises InvalidArgument."""
    if top_k < 0:
        raise InvalidArgument(f"top_k is the number of labels to tell, 0 for all. Received: {top_k}")
    if not 0 <= threshold <= 1:
        raise InvalidArgument(f"threshold is a chance, from 0 to 1. Received: {threshold}")
    return Choice(top_k, threshold)


def classifications(answer: Answer, choice: Choice) -> Sequence[Classification | Mapping[str, Head]]:
    """One an instance: its labels; of a version that answers more than one table of scores, its heads by name."""
    fields = _outputs(answer, "scores", "values")
    if [field.content for field in fields] == ["scores"]:
        return _labels(answer, fields[0], choice)
    heads: Mapping[str, Sequence[Head]] = {
        field.name: _labels(answer, field, choice) if field.content == "scores" else _values(answer, field)
        for field in fields
    }
    return [dict(zip(heads, row, strict=True)) for row in zip(*heads.values(), strict=True)]


def _values(answer: Answer, field: OutputField) -> Sequence[Values]:
    column = answer.columns[field.name]
    return [Values(column[row], field.unit) for row in range(column.shape[0])]


def _labels(answer: Answer, field: OutputField, choice: Choice) -> Sequence[Classification]:
    scores = answer.columns[field.name]
    if scores.ndim != 2 or (field.labels and scores.shape[1] != len(field.labels)):
        raise Internal(f"{field.name} of {answer.servable.name} has one column a label. Received: {scores.shape}")
    labels = field.labels or tuple(map(str, range(scores.shape[1])))
    orders = np.argsort(-scores, axis=1, kind="stable")[:, : choice.top_k or None]
    told = [
        ([labels[column] for column in columns], row[order])
        for columns, order, row in zip(orders.tolist(), orders, scores, strict=True)
    ]
    if not field.independent:
        return [Classification(names, row) for names, row in told]
    # The highest stand first, so those at or above the threshold are the first ones.
    return [Classification(names, row, names[: int((row >= choice.threshold).sum())]) for names, row in told]


def regressions(answer: Answer) -> Sequence[Mapping[str, Array]]:
    """One an instance: values by output name."""
    names = [field.name for field in _outputs(answer, "values", "numbers")]
    return [{name: answer.columns[name][row] for name in names} for row in range(answer.columns[names[0]].shape[0])]


def units(answer: Answer) -> Mapping[str, str]:
    """The unit of each output that has one."""
    return answer.servable.card.signatures[answer.signature].units


def pictures(answer: Answer) -> Sequence[bytes]:
    """All PNG pictures of the answer, in order; an output may hold several frames an instance."""
    return _frames(answer, _outputs(answer, "image"))


def figures(answer: Answer) -> Mapping[str, Array]:
    """What the answer's one instance has in numbers beside its pictures, by output name."""
    outputs = answer.servable.card.signatures[answer.signature].outputs
    return {field.name: answer.columns[field.name][0] for field in outputs if field.content in ("numbers", "values")}


def explanation(answer: Answer) -> Explanation:
    """Of the one instance that was asked about; what fills up a shorter row of words is left out."""
    fields = _outputs(answer, "image", "words", "attributions", "numbers", "values", "scores")
    words = [answer.columns[field.name][0] for field in fields if field.content == "words"]
    weights = [answer.columns[field.name][0] for field in fields if field.content == "attributions"]
    pairs = zip(words[0], weights[0], strict=True) if words and weights else ()
    return Explanation(
        images=_frames(answer, [field for field in fields if field.content == "image"]),
        attributions=[(word.decode(errors="replace"), weight) for word, weight in pairs if word],
        arrays={
            field.name: answer.columns[field.name][0]
            for field in fields
            if field.content in ("numbers", "values", "scores")
        },
    )


def _frames(answer: Answer, fields: Sequence[OutputField]) -> Sequence[bytes]:
    """Rows of one call may hold different numbers of frames: empty strings fill the shorter ones."""
    return [data for field in fields for data in answer.columns[field.name].flat if data]


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
