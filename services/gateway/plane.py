"""The one road of every request: admit -> route -> batch -> backend."""

from __future__ import annotations

import asyncio
from typing import Protocol

from services.core.errors import DeadlineExceeded, NotFound
from services.core.refs import ModelRef
from services.gateway.admission import Admission
from services.gateway.batcher import Batcher
from services.gateway.request import Answer, Call, Request, call_of
from services.gateway.routing_table import Servable


class Routes(Protocol):
    """What the plane asks of the router."""

    def route(self, ref: ModelRef) -> Servable:
        """The version that answers `ref` now. Raises NotFound or Unavailable."""
        ...

    async def refresh(self) -> None:
        """Return when the table is younger than this call."""
        ...


class DataPlane:
    """What all doors call."""

    def __init__(self, admission: Admission, router: Routes, batcher: Batcher) -> None:
        self._admission = admission
        self._router = router
        self._batcher = batcher

    def route(self, ref: ModelRef) -> Servable:
        """The version that would answer now. Raises NotFound or Unavailable."""
        return self._router.route(ref)

    async def predict(self, request: Request) -> Answer:
        """The answer of the version the request means, within its deadline; raises the tree of core/errors.py.

        A version that the router chose may be unloaded before the call arrives there. Then the table is read again and
        the request sent once more, so a roll-out costs no request.
        """
        self._admission.admit(request)
        try:
            async with asyncio.timeout_at(request.deadline):
                call = self._call(request)
                try:
                    return await self._ask(call)
                except NotFound:
                    if request.ref.version is not None:
                        raise
                    await self._router.refresh()
                    return await self._ask(self._call(request))
        except TimeoutError:
            raise DeadlineExceeded(
                f"Model {request.ref.name} did not answer within the request's time budget."
            ) from None

    def _call(self, request: Request) -> Call:
        """What the version that is routed to now shall be asked. Raises InvalidArgument, NotFound or Unavailable."""
        servable = self._router.route(request.ref)
        call = call_of(servable, request.payload.tensors(servable), request.deadline)
        self._admission.check(call)
        return call

    async def _ask(self, call: Call) -> Answer:
        return Answer(call.servable, call.signature, await self._batcher.predict(call))
