"""JSON or protobuf instances to arrays, by the card: the typed doors' payload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from services.core.card import Card, InputField, SignatureCard, Task
from services.core.errors import InvalidArgument, NotFound, received
from services.gateway.columns import FieldError, column_of, number_in
from services.gateway.request import Tensors
from services.gateway.routing_table import Servable

_TARGET = "target"  # of an explanation: the class it is about


class Instances(NamedTuple):
    """Rows by field name for a task. Signature "": the first of the task that knows every name and lacks none.

    `written`: they come from a form or a query, where numbers are text.
    """

    task: Task
    rows: Sequence[Mapping[str, Any]]
    signature: str = ""
    written: bool = False

    def tensors(self, servable: Servable) -> Tensors:
        """One array a field, defaults filled in. Raises InvalidArgument or, for the signature's name, NotFound."""
        if not self.rows:
            raise InvalidArgument("A request has at least one instance. Received: an empty list")
        for number, row in enumerate(self.rows):
            if not isinstance(row, Mapping):
                raise InvalidArgument(f"Instance {number} is an object of fields by name. Received: {received(row)}")
        name = self._signature_of(servable.card)
        fields = servable.card.signatures[name].inputs
        _check_names(servable.card, name, self.rows)
        try:
            return Tensors(name, {field.name: column_of(field, self._values(servable.card, field)) for field in fields})
        except FieldError as error:
            raise InvalidArgument(f"Model {servable.name}, signature {name}: {error}") from None

    def _values(self, card: Card, field: InputField) -> list[Any]:
        values = [row.get(field.name, field.default) for row in self.rows]
        if self.task is Task.EXPLAIN and field.name == _TARGET:
            values = [_class_number(card, field, value) for value in values]
        if self.written and field.dtype != "string":
            values = [number_in(value) for value in values]
        return values

    def _signature_of(self, card: Card) -> str:
        if self.signature:
            return named_signature(card, self.task, self.signature)
        candidates = signatures_of(card, self.task)
        given = self.rows[0].keys()
        name = fitting(candidates, given)
        if name is not None:
            return name
        if len(candidates) == 1:  # its own check says more: which field is missing or unknown
            return next(iter(candidates))
        raise InvalidArgument(
            f"Model {card.model} takes for {self.task}: {_described(candidates)}. Received: {_names(given)}"
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the whole body, other fields as the query writes them: it goes to the first signature of the task
    that takes one picture and those fields, and needs nothing else.
    """

    task: Task
    data: bytes
    signature: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def tensors(self, servable: Servable) -> Tensors:
        """One row. Raises InvalidArgument when no signature takes just these."""
        card = servable.card
        if self.signature:
            name = named_signature(card, self.task, self.signature)
            candidates: Mapping[str, SignatureCard] = {name: card.signatures[name]}
        else:
            candidates = signatures_of(card, self.task)
        for name, signature in candidates.items():
            pictures = [field.name for field in signature.inputs if field.content == "image"]
            if len(pictures) == 1 and fitting({name: signature}, {*pictures, *self.fields}):
                row = {**self.fields, pictures[0]: self.data}
                return Instances(self.task, [row], name, written=True).tensors(servable)
        given = f"a picture and {_names(self.fields)}" if self.fields else "a picture alone"
        raise InvalidArgument(f"Model {card.model} takes for {self.task}: {_described(candidates)}. Received: {given}")


def fitting(candidates: Mapping[str, SignatureCard], given: Set[str]) -> str | None:
    """The first signature that knows every name given and lacks none."""
    return next((name for name, one in candidates.items() if one.required <= given <= one.known), None)


def signatures_of(card: Card, task: Task) -> Mapping[str, SignatureCard]:
    """The signatures of a task. Raises InvalidArgument naming the tasks this model does have."""
    signatures = card.signatures_for(task)
    if not signatures:
        doors = ", ".join(sorted({_door(signature.task) for signature in card.signatures.values()}))
        raise InvalidArgument(f"Model {card.model} answers {doors}. Received: {_door(task)}")
    return signatures


def _door(task: Task) -> str:
    """Where a task is asked, in REST's and in gRPC's words."""
    return f".../{task.replace('_', '-')} (gRPC {task.title().replace('_', '')})"


def named_signature(card: Card, task: Task, name: str) -> str:
    """Check a signature that the client named. Raises NotFound, or InvalidArgument for one of another task."""
    signatures_of(card, task)
    signature = card.signatures.get(name)
    if signature is None:
        raise NotFound(
            f"Model {card.model} has signatures {_names(card.signatures)}. Received: signature {received(name)}"
        )
    if signature.task is not task:
        raise InvalidArgument(f"Signature {name} of model {card.model} is for {signature.task}. Received: {task}")
    return name


def _check_names(card: Card, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    signature = card.signatures[name]
    for number, row in enumerate(rows):
        if not signature.required <= row.keys() <= signature.known:
            raise InvalidArgument(
                f"Model {card.model}, signature {name}: instance {number} has {_described({name: signature})}. "
                f"Received: {_names(row)}"
            )


def _class_number(card: Card, field: InputField, value: Any) -> Any:
    """A label of the answer that is explained as its column's number; anything else as it is.

    Of several heads it is the one with as many labels as the target's range.
    """
    if not isinstance(value, str):
        return value
    heads = (output.labels for signature in card.signatures.values() for output in signature.outputs)
    fitting = (labels for labels in heads if field.maximum in (None, len(labels) - 1))
    return next((labels.index(value) for labels in fitting if value in labels), value)


def _described(signatures: Mapping[str, SignatureCard]) -> str:
    return " or ".join(f"{_fields(signature)} (signature {name})" for name, signature in signatures.items())


def _fields(signature: SignatureCard) -> str:
    optional = signature.known - signature.required
    return _names(signature.required) + (f", if wanted {_names(optional)}" if optional else "")


def _names(names: Any) -> str:
    return ", ".join(sorted(map(str, names))[:20]) or "no fields"
