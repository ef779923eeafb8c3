"""The mirror's side of TensorFlow Serving's ModelService."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.core.errors import Code, error_of
from services.core.tfs import get_model_status_pb2, model_management_pb2, model_server_config_pb2
from services.core.tfs_methods import PATHS
from services.core.turns import Turns
from services.mirror.plan import Key, Served
from services.rpc.client import Channel
from services.rpc.messages import Status

_STATUS_SECONDS = 5.0
# A reload waits for models that are new to the server. It goes on when we stop waiting; the states say how it went.
_RELOAD_SECONDS = 5.0
# Still loading; or a new model did not become available, which TensorFlow Serving calls UNKNOWN.
_TOLD_BY_STATES = (Code.DEADLINE_EXCEEDED, Code.UNKNOWN)
_STATUS, _RELOAD = PATHS["GetModelStatus"], PATHS["HandleReloadConfigRequest"]

_State = get_model_status_pb2.ModelVersionStatus.State


@dataclass(frozen=True)
class State:
    """What the model server says of a version: TensorFlow Serving's state, and the error it ended with."""

    name: str
    error: str


class ModelServer:
    """One model server, and what it has said of its models over this connection."""

    def __init__(self, address: str) -> None:
        self._channel = Channel(address)
        self._turns = Turns()
        self._known: dict[str, Mapping[int, State]] = {}
        self._connection = 0

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def states(self, wanted: Mapping[str, Collection[int]]) -> Mapping[Key, State]:
        """The state of every version the server knows of these models; `wanted` are those that shall be AVAILABLE.

        A model that is as it shall be is not asked about each time (`Turns`), unless the server may have been started
        anew. Raises Unavailable.
        """
        names = {name: {number: one.name for number, one in states.items()} for name, states in self._known.items()}
        told = await self._tell(self._turns.next(wanted, names))
        if (connection := self._channel.connections) != self._connection:
            told |= await self._tell(wanted.keys() - told.keys())
        self._known = {model: told[model] if model in told else self._known[model] for model in wanted}
        self._connection = connection
        return {(model, number): state for model, states in self._known.items() for number, state in states.items()}

    async def _tell(self, models: Iterable[str]) -> dict[str, Mapping[int, State]]:
        return {model: {entry.version: _state_of(entry) for entry in await self._status(model)} for model in models}

    async def _status(self, model: str) -> Sequence[get_model_status_pb2.ModelVersionStatus]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            message = await self._channel.unary(_STATUS, request.SerializeToString(), _STATUS_SECONDS)
        except Status as error:
            if error.code is Code.NOT_FOUND:
                return ()
            raise error_of(error.code, error.text) from None
        reply = get_model_status_pb2.GetModelStatusResponse.FromString(message)
        return list(reply.model_version_status)

    async def reload(self, served: Mapping[str, tuple[Path, Served]]) -> None:
        """Ask for exactly these models. Raises the server's error when it refuses to.

        A model that cannot be loaded is seen in the states, not raised here.
        """
        request = model_management_pb2.ReloadConfigRequest(config=config_of(served))
        try:
            await self._channel.unary(_RELOAD, request.SerializeToString(), _RELOAD_SECONDS)
        except Status as error:
            if error.code not in _TOLD_BY_STATES:
                raise error_of(error.code, error.text) from None


def _state_of(entry: get_model_status_pb2.ModelVersionStatus) -> State:
    return State(_State.Name(entry.state), entry.status.error_message if entry.status.error_code else "")


def config_of(served: Mapping[str, tuple[Path, Served]]) -> model_server_config_pb2.ModelServerConfig:
    """TensorFlow Serving's config: each model's folder, its versions by number, its labels."""
    config = model_server_config_pb2.ModelServerConfig()
    for name, (base_path, model) in served.items():
        entry = config.model_config_list.config.add(name=name, base_path=str(base_path), model_platform="tensorflow")
        entry.model_version_policy.specific.versions.extend(sorted(model.versions))
        for label, version in model.labels.items():
            entry.version_labels[label] = version
    if not served:
        config.model_config_list.SetInParent()
    return config
