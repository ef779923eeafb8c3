"""What one model server has, asked again and again."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from services.core.errors import DeadlineExceeded, NotFound, ResourceExhausted, TensorgateError, Unavailable
from services.core.tfs import get_model_status_pb2
from services.core.turns import States, Turns
from services.gateway.backend import Backend, some_at_once

_log = logging.getLogger(__name__)

_ANSWER_SECONDS = 2.0
_STATE_NAMES = get_model_status_pb2.ModelVersionStatus.State


class ServerWatch:
    """Owned by one task. `there` are its states by model, none while it does not answer; `answers` is None until it has
    been asked.
    """

    def __init__(self, server: Backend) -> None:
        self.there: Mapping[str, States] = {}
        self.answers: bool | None = None
        self._server = server
        self._turns = Turns()
        self._connection = 0

    async def look(self, wanted: Mapping[str, Collection[int]], doubtful: Collection[str]) -> None:
        """Ask about the models that may have changed (`Turns`), the doubtful ones, and all of a server that may have
        been started anew. `wanted` are the versions of all models that it shall have.
        """
        try:
            told = await self._tell(self._due(wanted, doubtful) or ["any"])  # even without models: does it answer?
            if (connection := self._server.connections) != self._connection or not self.answers:
                told |= await self._tell(wanted.keys() - told.keys())
        except TensorgateError as error:
            if self.answers is not False and not isinstance(error, Unavailable):
                _log.warning("the model server at %s tells nothing of its models: %s", self._server.address, error)
            self.there, self.answers = {}, False
            return
        self.there = {name: told[name] if name in told else self.there[name] for name in wanted}
        self.answers, self._connection = True, connection

    def _due(self, wanted: Mapping[str, Collection[int]], doubtful: Collection[str]) -> Collection[str]:
        """Of one that is away only whether it is back."""
        if not self.answers:
            return list(wanted)[:1]
        return {*self._turns.next(wanted, self.there), *(wanted.keys() & set(doubtful))}

    async def _tell(self, models: Iterable[str]) -> dict[str, States]:
        names = list(models)
        return dict(zip(names, await some_at_once(self._states, names), strict=True))

    async def _states(self, name: str) -> States:
        """State by version. Raises what the model server says."""
        try:
            reply = await self._server.status(name, _ANSWER_SECONDS)
        except NotFound:
            return {}
        except (DeadlineExceeded, ResourceExhausted):
            if not self.answers:
                raise
            return self.there.get(name, {})  # busy, not gone: what was there is taken to be there still
        return {status.version: _STATE_NAMES.Name(status.state) for status in reply.model_version_status}
