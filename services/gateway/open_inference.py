"""What Open Inference's two doors have in common: a signature asked tensor by tensor, and what is told of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from services.core.errors import InvalidArgument
from services.core.open_inference import datatype_of
from services.core.refs import ModelRef
from services.core.tensors import DTYPES, Array
from services.core.tfs_json import DEFAULT_SIGNATURE
from services.gateway.columns import received
from services.gateway.open_inference_schemas import ModelIndex, ModelMetadata, TensorMetadata
from services.gateway.request import Answer, Tensors
from services.gateway.routing_table import RoutingTable, Servable

PLATFORM = "tensorflow_savedmodel"
EXTENSIONS = ("binary_tensor_data", "generate")


@dataclass(frozen=True, slots=True)
class Inference:
    """The tensors of a request; the signature is one of TensorFlow's, which the protocol knows nothing of."""

    signature: str
    inputs: Mapping[str, Array]

    def tensors(self, servable: Servable) -> Tensors:
        """Raises InvalidArgument where the signature takes other tensors."""
        wanted = _signature(servable, self.signature).inputs
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


def server_metadata() -> Mapping[str, Any]:
    """Who answers, and what it can do beyond the protocol."""
    return {"name": "tensorgate", "version": metadata.version("tensorgate"), "extensions": EXTENSIONS}


def signature_of(parameters: Mapping[str, Any]) -> str:
    """The signature that a request's parameters name. Raises InvalidArgument."""
    signature = parameters.get("signature", DEFAULT_SIGNATURE)
    if not isinstance(signature, str):
        raise InvalidArgument(f"parameters.signature is a signature's name. Received: {received(signature)}")
    return signature


def named_once(names: Sequence[str]) -> None:
    """Raises InvalidArgument for an input or output that is named twice."""
    if len(set(names)) < len(names):
        raise InvalidArgument(f"Each tensor is named once. Received: {received(sorted(names))}")


def wanted_of(answer: Answer, names: Sequence[str]) -> Mapping[str, Array]:
    """The outputs that were asked for, in that order; all if none was. Raises InvalidArgument for one that is not."""
    if unknown := [name for name in names if name not in answer.columns]:
        raise InvalidArgument(
            f"Model {answer.servable.name} answers {', '.join(sorted(answer.columns))}. Received: {received(unknown)}"
        )
    return {name: answer.columns[name] for name in names or answer.columns}


def metadata_of(table: RoutingTable, ref: ModelRef) -> ModelMetadata:
    """The tensors of the version a ref means, of its default signature if it has one. Raises as the table."""
    servable = table.find(ref)
    name = min(servable.signature_defs, key=lambda name: (name != DEFAULT_SIGNATURE, name))
    signature = servable.signature_defs[name]
    return ModelMetadata(
        name=servable.name,
        versions=[str(version) for version in sorted(table.models[ref.name].servables)],
        platform=PLATFORM,
        inputs=[_tensor(name, info) for name, info in sorted(signature.inputs.items())],
        outputs=[_tensor(name, info) for name, info in sorted(signature.outputs.items())],
    )


def index_of(table: RoutingTable, *, ready: bool) -> Iterator[ModelIndex]:
    """Every version that is loaded, loading or wanted; `ready`: only those that can be called now."""
    for name, routes in sorted(table.models.items()):
        for version in sorted({*routes.states, *routes.labels.values(), *routes.servables}):
            there = version in routes.servables
            if there or not ready:
                state = "READY" if there else "UNAVAILABLE"
                reason = "" if there else routes.faults.get(version, routes.states.get(version, "not loaded yet"))
                yield ModelIndex(name=name, version=str(version), state=state, reason=reason)


def _signature(servable: Servable, name: str) -> Any:
    found = servable.signature_defs.get(name)
    if found is None:
        raise InvalidArgument(
            f"Model {servable.name} has the signatures {', '.join(sorted(servable.signature_defs))}; "
            f"parameters.signature says which. Received: {name}"
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
    return TensorMetadata(name=name, datatype=datatype_of(DTYPES[info.dtype]), shape=sizes)


def _listed(infos: Mapping[str, Any]) -> str:
    tensors = [_tensor(name, info) for name, info in sorted(infos.items())]
    return ", ".join(f"{one.name} {one.datatype} {one.shape}" for one in tensors)
