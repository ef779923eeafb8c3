"""What Open Inference's two doors have in common: a signature asked tensor by tensor, and what is told of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from services.core.errors import InvalidArgument, received
from services.core.open_inference import DATATYPES, datatype_of
from services.core.refs import ModelRef
from services.core.tensors import DTYPES, Array, short_name
from services.core.tfs_json import DEFAULT_SIGNATURE
from services.gateway.caller import check_allowed
from services.gateway.health import Health
from services.gateway.open_inference_schemas import ModelIndex, ModelMetadata, ServerMetadata, TensorMetadata
from services.gateway.request import Answer, Tensors
from services.gateway.routing_table import RoutingTable, Servable

PLATFORM = "tensorflow_savedmodel"
_INIT = "__saved_model_init_op"
_NOT_HERE = ("classification", "shared_memory")  # Triton's, which change what is answered, and where


@dataclass(frozen=True, slots=True)
class Inference:
    """The tensors of a request; the signature is one of TensorFlow's, which the protocol knows nothing of."""

    signature: str
    inputs: Mapping[str, Array]
    outputs: Sequence[str]  # none: all

    def tensors(self, servable: Servable) -> Tensors:
        """Raises InvalidArgument where the signature takes or gives other tensors."""
        signature = _signature(servable, self.signature)
        if unknown := [name for name in self.outputs if name not in signature.outputs]:
            raise InvalidArgument(
                f"Model {servable.name} answers {_listed(signature.outputs)}. Received: {received(unknown)}"
            )
        wanted = signature.inputs
        if self.inputs.keys() != wanted.keys():
            raise InvalidArgument(
                f"Model {servable.name} takes {_listed(wanted)}. Received: {received(sorted(self.inputs))}"
            )
        for name, array in self.inputs.items():
            if not _fits(array, wanted[name]):
                raise InvalidArgument(
                    f"Model {servable.name} takes {_listed({name: wanted[name]})}. "
                    f"Received: {name} {datatype_of(array.dtype)} {list(array.shape)}"
                )
        return Tensors(self.signature, self.inputs)

    def wanted(self, answer: Answer) -> Mapping[str, Array]:
        """The outputs that were asked for, in that order."""
        return {name: answer.columns[name] for name in self.outputs or answer.columns}


@cache
def server_metadata() -> ServerMetadata:
    """Who answers; read once, because the package's version lies in a file."""
    extensions = ["binary_tensor_data", "generate", "model_repository"]
    return ServerMetadata(name="tensorgate", version=metadata.version("tensorgate"), extensions=extensions)


def signature_of(parameters: Mapping[str, Any]) -> str:
    """The signature that a request's parameters name. Raises InvalidArgument."""
    signature = parameters.get("signature", DEFAULT_SIGNATURE)
    if not isinstance(signature, str):
        raise InvalidArgument(f"parameters.signature is a signature's name. Received: {received(signature)}")
    return signature


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raises InvalidArgument for one that would change the answer and is not known here; others do no harm."""
    if unknown := [name for name in parameters if name.startswith(_NOT_HERE)]:
        raise InvalidArgument(f"Parameters {', '.join(_NOT_HERE)}* are not known here. Received: {received(unknown)}")


def named_once(names: Sequence[str]) -> None:
    """Raises InvalidArgument for an input or output that is named twice."""
    if len(set(names)) < len(names):
        raise InvalidArgument(f"Each tensor is named once. Received: {received(sorted(names))}")


class Repository:
    """What is told of models."""

    def __init__(self, table: Callable[[], RoutingTable], health: Health) -> None:
        self._table = table
        self._health = health

    @property
    def ready(self) -> bool:
        """As /readyz has it."""
        return self._health.ready(self._table())

    @property
    def names(self) -> Sequence[str]:
        """All models of the store that the caller may know."""
        return sorted(self._table().models)

    def find(self, ref: ModelRef) -> Servable:
        """The version that would answer. Raises PermissionDenied, NotFound or Unavailable."""
        check_allowed(ref.name)
        return self._table().find(ref)

    def metadata(self, ref: ModelRef) -> ModelMetadata:
        """The tensors of the version a ref means. Raises PermissionDenied, NotFound or Unavailable."""
        check_allowed(ref.name)
        return _metadata_of(self._table(), ref)

    def index(self, *, ready: bool) -> Sequence[ModelIndex]:
        """Every version; `ready`: only those that can be called now."""
        return list(_index_of(self._table(), ready=ready))


def _metadata_of(table: RoutingTable, ref: ModelRef) -> ModelMetadata:
    """Of its default signature if it has one, or the first."""
    servable = table.find(ref)
    signatures = _signatures(servable)
    signature = signatures[min(signatures, key=lambda name: (name != DEFAULT_SIGNATURE, name))]
    return ModelMetadata(
        name=servable.name,
        versions=[str(version) for version in sorted(table.models[ref.name].servables)],
        platform=PLATFORM,
        inputs=[_tensor(name, info) for name, info in sorted(signature.inputs.items())],
        outputs=[_tensor(name, info) for name, info in sorted(signature.outputs.items())],
    )


def _index_of(table: RoutingTable, *, ready: bool) -> Iterator[ModelIndex]:
    """The versions that labels want or the model server knows of, unloaded ones among them."""
    for name, routes in sorted(table.models.items()):
        for version in sorted({*routes.states, *routes.labels.values(), *routes.servables}):
            there = version in routes.servables
            if there or not ready:
                state = "READY" if there else "UNAVAILABLE"
                reason = "" if there else routes.faults.get(version, routes.states.get(version, "not loaded yet"))
                yield ModelIndex(name=name, version=str(version), state=state, reason=reason)


def _signatures(servable: Servable) -> Mapping[str, Any]:
    """Those that have tensors to answer with: TensorFlow tells of its own, too, by which a model is made ready."""
    return {name: one for name, one in servable.signature_defs.items() if name != _INIT}


def _signature(servable: Servable, name: str) -> Any:
    signatures = _signatures(servable)
    found = signatures.get(name)
    if found is None:
        raise InvalidArgument(
            f"Model {servable.name} has the signatures {', '.join(sorted(signatures))}; "
            f"parameters.signature says which. Received: {received(name)}"
        )
    return found


def _fits(array: Array, info: Any) -> bool:
    if DTYPES.get(info.dtype) != array.dtype:
        return False
    sizes = [dim.size for dim in info.tensor_shape.dim]
    return bool(info.tensor_shape.unknown_rank) or (
        len(sizes) == array.ndim and all(want in (-1, size) for want, size in zip(sizes, array.shape, strict=True))
    )


def _tensor(name: str, info: Any) -> TensorMetadata:
    sizes = [-1] if info.tensor_shape.unknown_rank else [dim.size for dim in info.tensor_shape.dim]
    return TensorMetadata(name=name, datatype=_datatype(info.dtype), shape=sizes)


def _datatype(enum: int) -> str:
    """The protocol's name, or TensorFlow's for a type that the protocol does not have."""
    known = enum in DTYPES and DTYPES[enum] in DATATYPES.values()
    return datatype_of(DTYPES[enum]) if known else short_name(enum).upper()


def _listed(infos: Mapping[str, Any]) -> str:
    tensors = [_tensor(name, info) for name, info in sorted(infos.items())]
    return ", ".join(f"{one.name} {one.datatype} {one.shape}" for one in tensors)
