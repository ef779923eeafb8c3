"""What every request must pass, whatever door it came in by. Quotas join it here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.core.errors import DeadlineExceeded, InvalidArgument
from services.core.refs import ModelRef
from services.gateway.caller import check_allowed
from services.gateway.pictures import check_picture
from services.gateway.request import Call


@dataclass(frozen=True)
class Limits:
    """The largest request: instances, and pixels of one picture before it is decoded."""

    instances: int = 1024
    pixels: int = 32_000_000  # below 8k, 7680 x 4320: decoded, that is 100 MB, and 400 MB as floats


class Admission:
    """Checks a request before it is routed, and its values before they are queued."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock

    def admit(self, ref: ModelRef, deadline: float) -> None:
        """Raises PermissionDenied for a model that is not the caller's, DeadlineExceeded for a request that is too late
        already.
        """
        check_allowed(ref.name)
        late = self._clock() - deadline
        if late >= 0:
            raise DeadlineExceeded(f"A request comes with time left to answer it. Received: one {late:.3f} s too late")

    def check(self, call: Call) -> None:
        """Raises InvalidArgument for too many instances, and for a picture that is none or is too large."""
        self._count(call.rows or 0, call.servable.name)
        signature = call.servable.card.signatures.get(call.signature)
        for field in signature.inputs if signature is not None else ():
            column = call.columns.get(field.name)
            # Numbers for a picture are the model server's to refuse: TensorFlow Serving's doors take them as they come.
            if field.content == "image" and column is not None and column.dtype.kind == "O":
                for row, data in enumerate(column.flat):
                    what = f"Model {call.servable.name}: {field.name} of instance {row}"
                    check_picture(data, what, self._limits.pixels)

    def check_examples(self, examples: Any, model: str) -> None:
        """The same of a tensorflow.serving.Input, whose examples are instances. Raises InvalidArgument."""
        kind = examples.WhichOneof("kind")
        self._count(0 if kind is None else len(getattr(examples, kind).examples), model)

    def _count(self, rows: int, model: str) -> None:
        most = self._limits.instances
        if rows > most:
            raise InvalidArgument(f"A request has at most {most} instances. Received: {rows} for model {model}")
