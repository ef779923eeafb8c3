"""Open Inference's REST door for tensors, /v2/models/.../infer: values in JSON, or in bytes after it.

The bytes are Triton's binary tensor data extension: a header says how long the JSON is; the tensors that have a
`binary_data_size` follow it in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request as Http
from starlette.responses import Response

from services.core.errors import InvalidArgument, received
from services.core.open_inference import Stated, datatype_of, to_bytes, to_values
from services.core.tensors import Array
from services.gateway.bodies import header, parse_json, read_by, read_bytes, ref_of, seconds_allowed
from services.gateway.open_inference import Inference, check_parameters, named_once, signature_of
from services.gateway.open_inference_schemas import InferBody, InferInput
from services.gateway.plane import DataPlane
from services.gateway.replies import JsonReply
from services.gateway.request import Answer, Request
from services.gateway.schemas import read_body

JSON_LENGTH = "Inference-Header-Content-Length"
_HEADER = JSON_LENGTH.lower().encode()
OCTETS = "application/octet-stream"


class OpenInferenceInfer:
    """The endpoint. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(self, plane: DataPlane, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def infer(self, http: Http) -> Response:
        """Tensors in, tensors out."""
        content, length = await read_bytes(http, self._body_bytes), header(http, _HEADER)
        asked = await read_by(_asked, len(content), content, length)
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        return _response(asked, await self._plane.predict(Request(ref_of(http), asked.payload, deadline)))


@dataclass(frozen=True)
class _Asked:
    """A request that has been read: its tensors, and which outputs are wanted in bytes."""

    body: InferBody
    payload: Inference

    def in_bytes(self, name: str) -> bool:
        """By its own parameter, or else by the request's."""
        own = next((one.parameters.get("binary_data") for one in self.body.outputs if one.name == name), None)
        chosen = self.body.parameters.get("binary_data_output") if own is None else own
        return bool(chosen)


def _asked(content: bytes, length: str | None) -> _Asked:
    text, tail = _parts(content, length)
    body = read_body(InferBody, parse_json(text))
    names = [one.name for one in body.outputs]
    named_once(names)
    _check_flags(body)
    return _Asked(body, Inference(signature_of(body.parameters), _arrays(body, tail), names))


def _check_flags(body: InferBody) -> None:
    inputs, outputs = (one.parameters for one in body.inputs), (one.parameters for one in body.outputs)
    for parameters in (body.parameters, *inputs, *outputs):
        check_parameters(parameters)
        for flag in ("binary_data", "binary_data_output"):
            if not isinstance(chosen := parameters.get(flag, False), bool):
                raise InvalidArgument(f"{flag} is true or false. Received: {received(chosen)}")


def _parts(body: bytes, stated: str | None) -> tuple[bytes, memoryview]:
    """The JSON, and the bytes behind it. Raises InvalidArgument."""
    if stated is None:
        return body, memoryview(b"")
    if not (stated.isascii() and stated.isdigit() and len(stated) < 20 and int(stated) <= len(body)):
        raise InvalidArgument(f"{JSON_LENGTH} is at most the body's {len(body)} bytes. Received: {received(stated)}")
    return body[: int(stated)], memoryview(body)[int(stated) :]


def _arrays(body: InferBody, tail: memoryview) -> Mapping[str, Array]:
    named_once([one.name for one in body.inputs])
    arrays = {}
    for one in body.inputs:
        size = _size(one)
        stated = Stated(one.name, one.datatype, one.shape)
        if size is not None and size > len(tail):
            raise InvalidArgument(
                f"{one.name}: binary_data_size is what is left of the body, {len(tail)}, or less. Received: {size}"
            )
        arrays[one.name] = stated.of_values(one.data or []) if size is None else stated.of_bytes(tail[:size])
        tail = tail[size or 0 :]
    if len(tail):
        raise InvalidArgument(f"All bytes after the JSON belong to a tensor. Received: {len(tail)} that do not")
    return arrays


def _size(one: InferInput) -> int | None:
    """How many bytes the tensor has behind the JSON; None if its values are in it. Raises InvalidArgument."""
    size = one.parameters.get("binary_data_size")
    if (size is None) == (one.data is None):
        raise InvalidArgument(
            f"{one.name} has either `data` or `parameters.binary_data_size`. "
            f"Received: {'neither' if size is None else 'both'}"
        )
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise InvalidArgument(f"{one.name}: binary_data_size is a number of bytes. Received: {received(size)}")
    return size


def _response(asked: _Asked, answer: Answer) -> Response:
    outputs = asked.payload.wanted(answer)
    tails = {name: to_bytes(array) for name, array in outputs.items() if asked.in_bytes(name)}
    document = {
        "model_name": answer.servable.name,
        "model_version": str(answer.servable.version),
        **({"id": asked.body.id} if asked.body.id else {}),
        "outputs": [_tensor(name, array, tails.get(name)) for name, array in outputs.items()],
    }
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not tails:
        return JsonReply(text)
    return Response(b"".join([text, *tails.values()]), headers={JSON_LENGTH: str(len(text))}, media_type=OCTETS)


def _tensor(name: str, array: Array, tail: bytes | None) -> Mapping[str, Any]:
    values = {"data": to_values(array)} if tail is None else {"parameters": {"binary_data_size": len(tail)}}
    return {"name": name, "datatype": datatype_of(array.dtype), "shape": array.shape, **values}
