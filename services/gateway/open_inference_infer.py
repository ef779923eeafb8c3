"""Open Inference's REST door for tensors, /v2/models/.../infer: values in JSON, or in bytes after it.

The bytes are Triton's binary tensor data extension: a header says how long the JSON is; the tensors that have a
`binary_data_size` follow it in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request as Http
from starlette.responses import Response

from services.core.errors import InvalidArgument
from services.core.open_inference import Stated, datatype_of, to_bytes, to_values
from services.core.tensors import Array
from services.gateway.bodies import parse_json, read_bytes, ref_of, seconds_allowed
from services.gateway.columns import received
from services.gateway.open_inference import Inference, named_once, signature_of, wanted_of
from services.gateway.open_inference_schemas import InferBody, InferInput
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Request
from services.gateway.schemas import read_body

JSON_LENGTH = "Inference-Header-Content-Length"
_OCTETS, _JSON = "application/octet-stream", "application/json"


class OpenInferenceInfer:
    """The endpoint. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(self, plane: DataPlane, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def infer(self, http: Http) -> Response:
        """Tensors in, tensors out."""
        text, tail = _parts(await read_bytes(http, self._body_bytes), http.headers.get(JSON_LENGTH))
        body = read_body(InferBody, parse_json(text))
        payload = Inference(signature_of(body.parameters), _arrays(body, tail))
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        return _response(body, await self._plane.predict(Request(ref_of(http), payload, deadline)))


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
        arrays[one.name] = stated.of_values(one.data) if size is None else stated.of_bytes(tail[:size])
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


def _response(body: InferBody, answer: Answer) -> Response:
    named_once([one.name for one in body.outputs])
    outputs = wanted_of(answer, [one.name for one in body.outputs])
    asked = {one.name: one.parameters.get("binary_data") for one in body.outputs}
    by_default = body.parameters.get("binary_data_output")
    chosen = {name: by_default if asked.get(name) is None else asked[name] for name in outputs}
    tails = {name: to_bytes(outputs[name]) for name, binary in chosen.items() if binary is True}
    text = orjson.dumps(_document(body, answer, outputs, tails), option=orjson.OPT_SERIALIZE_NUMPY)
    if not tails:
        return Response(text, media_type=_JSON)
    return Response(b"".join([text, *tails.values()]), headers={JSON_LENGTH: str(len(text))}, media_type=_OCTETS)


def _document(
    body: InferBody, answer: Answer, outputs: Mapping[str, Array], tails: Mapping[str, bytes]
) -> Mapping[str, Any]:
    return {
        "model_name": answer.servable.name,
        "model_version": str(answer.servable.version),
        **({"id": body.id} if body.id else {}),
        "outputs": [
            {
                "name": name,
                "datatype": datatype_of(array.dtype),
                "shape": array.shape,
                **(
                    {"parameters": {"binary_data_size": len(tails[name])}}
                    if name in tails
                    else {"data": to_values(array)}
                ),
            }
            for name, array in outputs.items()
        ],
    }
