"""The one road of every request: admit -> route -> batch -> backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from services.core.errors import DeadlineExceeded, NotFound
from services.core.refs import ModelRef
from services.gateway.admission import Admission
from services.gateway.batcher import Batcher
from services.gateway.caller import check_allowed
from services.gateway.deadlines import Deadlines
from services.gateway.metrics import Metrics
from services.gateway.request import Answer, Call, Request, call_of
from services.gateway.routing_table import Servable

T = TypeVar("T")


class Routes(Protocol):
    """What the plane asks of the router."""

    def route(self, ref: ModelRef) -> Servable:
        """The version that answers `ref` now. Raises NotFound or Unavailable."""
        ...

    async def refresh(self, doubtful: str) -> None:
        """Return when the table is younger than this call, and says how this model is now."""
        ...


class DataPlane:
    """What all doors call. `metrics` is for what takes several calls."""

    def __init__(self, admission: Admission, router: Routes, batcher: Batcher, *, metrics: Metrics) -> None:
        self.metrics = metrics
        self._admission = admission
        self._router = router
        self._batcher = batcher
        self._deadlines = Deadlines()

    def route(self, ref: ModelRef) -> Servable:
        """The version that would answer now. Raises PermissionDenied, NotFound or Unavailable."""
        check_allowed(ref.name)
        return self._router.route(ref)

    async def predict(self, request: Request) -> Answer:
        """The answer of the version the request means, within its deadline; raises the tree of core/errors.py."""

        def ask(servable: Servable) -> Awaitable[Answer]:
            if request.large:
                return self._ask_beside(request, servable)
            return self._ask(call_of(servable, request.payload.tensors(servable), request.deadline))

        return await self.call(request.ref, request.deadline, ask)

    async def _ask_beside(self, request: Request, servable: Servable) -> Answer:
        tensors = await asyncio.to_thread(request.payload.tensors, servable)
        return await self._ask(call_of(servable, tensors, request.deadline))

    def _ask(self, call: Call) -> Awaitable[Answer]:
        self._admission.check(call)
        return self._answer(call)

    async def call(
        self, ref: ModelRef, deadline: float, ask: Callable[[Servable], Awaitable[T]], *, examples: Any = None
    ) -> T:
        """What `ask` gets from the version that `ref` means, within the deadline. Raises as `ask` and the router do.

        A version that the router chose may be unloaded before the call arrives there. Then the table is read again and
        the request sent once more, so a roll-out costs no request. What `ask` raises before it waits is the request's
        own fault. `examples` is what a request has of them, in TensorFlow Serving's message.
        """
        self._admission.admit(ref, deadline)
        if examples is not None:
            self._admission.check_examples(examples, ref.name)
        try:
            with self._deadlines.at(deadline):
                answer = ask(self._router.route(ref))
                try:
                    return await answer
                except NotFound:
                    if ref.version is not None:
                        raise
                    await self._router.refresh(ref.name)
                    return await ask(self._router.route(ref))
        except TimeoutError:
            raise DeadlineExceeded(f"Model {ref.name} did not answer within the request's time budget.") from None

    async def _answer(self, call: Call) -> Answer:
        return Answer(call.servable, call.signature, await self._batcher.predict(call))
