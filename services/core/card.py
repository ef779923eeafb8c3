"""The card: what an endpoint does, written by the trainer into the SavedModel and read by everyone else.

The gateway holds no plugin code: names, shapes, labels, units and an example request all come from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

CARD_PATH = PurePosixPath("assets.extra/card.json")
WARMUP_PATH = PurePosixPath("assets.extra/tf_serving_warmup_requests")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(StrEnum):
    """What an endpoint does (DESIGN: vocabulary)."""

    CLASSIFY = "classify"
    REGRESS = "regress"
    GENERATE_TEXT = "generate_text"
    GENERATE_IMAGE = "generate_image"
    EXPLAIN = "explain"


class InputField(_Frozen):
    """One named input of a signature; `shape` is of one instance, None where the size is free."""

    name: str
    dtype: str = Field(description="TensorFlow's name in lower case: float32, int64, string, ...")
    shape: tuple[int | None, ...] = ()
    content: str = Field(default="numbers", description="numbers, text or image (encoded JPEG or PNG bytes)")
    description: str = ""
    unit: str = ""
    default: Any = Field(default=None, description="sent for an instance that leaves the field out; None: required")
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = Field(default=(), description="all that a string may be; none: any")


class OutputField(_Frozen):
    """One named output of a signature; `shape` is of one instance."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()
    content: str = Field(
        default="numbers",
        description="scores, values, numbers, text, image, progress or state; to explain: words, attributions",
    )
    description: str = ""
    unit: str = ""
    labels: tuple[str, ...] = Field(default=(), description="names of the scores' columns, in order, no two the same")
    independent: bool = Field(
        default=False, description="each score is a chance of its own, so that several labels may hold, or none"
    )

    @field_validator("labels")  # an answer tells scores by label
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted(label for label, count in Counter(labels).items() if count > 1)
        if twice:
            raise ValueError(f"No two labels are the same. Received: {', '.join(twice)} more than once")
        return labels


class SignatureCard(_Frozen):
    """One way to call the model."""

    task: Task
    description: str = ""
    inputs: tuple[InputField, ...]
    outputs: tuple[OutputField, ...]
    example: Mapping[str, Any] = Field(description='one instance as JSON: {field: value}; bytes as {"b64": "..."}')

    @cached_property
    def known(self) -> frozenset[str]:
        """The names of all inputs."""
        return frozenset(field.name for field in self.inputs)

    @cached_property
    def required(self) -> frozenset[str]:
        """The names of the inputs that every instance has."""
        return frozenset(field.name for field in self.inputs if field.default is None)

    @cached_property
    def units(self) -> Mapping[str, str]:
        """What the outputs that are numbers are counted in, by name; those that have a unit."""
        numbers = [field for field in self.outputs if field.content in ("values", "numbers")]
        return {field.name: field.unit for field in numbers if field.unit}


class BookFigure(_Frozen):
    """A figure the book states, so that ours can stand beside it."""

    metric: str
    value: float
    section: str


class Expected(_Frozen):
    """How the predictions of one output were spread on held-out data: what its answers are to be compared with.

    Without `edges` a prediction falls into the bin of the class with the highest score; with them its value, or its
    highest score, falls into the bin that ends at the first edge not below it, or into the last one.
    """

    columns: int = Field(ge=1, description="of the output: classes, or 1")
    edges: tuple[float, ...] = Field(default=(), description="where the bins end, but for the last; rising")
    shares: Mapping[str, float] = Field(description="of the held-out predictions, by bin, in order; they add up to 1")

    @model_validator(mode="after")  # who counts has one counter a bin
    def _one_share_a_bin(self) -> Self:
        bins = len(self.edges) + 1 if self.edges else self.columns
        if len(self.shares) != bins:
            raise ValueError(f"There is one share for each of {bins} bins. Received: {len(self.shares)}")
        return self


class Lineage(_Frozen):
    """Where a version comes from."""

    plugin: str
    variant: str
    run: str
    seed: int
    config: Mapping[str, Any]
    data_sha256: Mapping[str, str] = Field(default_factory=dict)
    code: str = Field(default="", description="version of Tensorgate that trained it")
    created: datetime


class Card(_Frozen):
    """Everything a person or a gateway must know to call one version of a model."""

    schema_version: int = 1
    model: str
    task: Task
    title: str
    description: str
    signatures: Mapping[str, SignatureCard]
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    book: BookFigure | None = None
    expected: Mapping[str, Expected] = Field(
        default_factory=dict, description="by output name; none of versions from before, and where nothing was held out"
    )
    warnings: tuple[str, ...] = Field(default=(), description="what a caller should know, such as a forced publication")
    lineage: Lineage

    def signatures_for(self, task: Task) -> Mapping[str, SignatureCard]:
        """The signatures that answer `task`, in the order the trainer wrote them."""
        return self._by_task.get(task, {})

    @cached_property
    def _by_task(self) -> Mapping[Task, Mapping[str, SignatureCard]]:
        tasks = {signature.task for signature in self.signatures.values()}
        return {
            task: {name: signature for name, signature in self.signatures.items() if signature.task is task}
            for task in tasks
        }
