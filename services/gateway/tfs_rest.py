"""TensorFlow Serving's REST door: :predict, status and metadata, for its clients, with its texts and bodies.

The differences a client sees: without version or label the answer comes from `stable`, not from the newest version; and
`GET /v1/models`, an error there, is OpenAI's list here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from starlette.requests import Request as Http
from starlette.responses import Response

from services.core.errors import InvalidArgument, NotFound, Unimplemented
from services.core.refs import ModelRef
from services.core.tfs import get_model_metadata_pb2
from services.core.tfs_json import decode_predict, encode_predict
from services.core.tfs_paths import parse_path
from services.gateway.backend import Backend
from services.gateway.bodies import read_bytes, ref_of, seconds_allowed
from services.gateway.buffers import read_float_rows
from services.gateway.faults import OPERATION_KEY
from services.gateway.plane import DataPlane
from services.gateway.request import Request, Tensors
from services.gateway.routing_table import Servable

_JSON = "application/json"


class PredictPayload:
    """A predict body; reading it against the signature also tells whether rows or columns are to be answered."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.row_format = True

    def tensors(self, servable: Servable) -> Tensors:
        """The arrays the body holds. Raises InvalidArgument with TensorFlow Serving's texts."""
        signatures = servable.signature_defs
        read = read_float_rows(self._body, signatures) or decode_predict(self._body, signatures)
        self.row_format = read.row_format
        return Tensors(read.signature_name, read.inputs)


class TfsRest:
    """The endpoints. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(self, plane: DataPlane, backend: Backend, *, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._backend = backend
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def answer(self, http: Http) -> Response:
        """All that is asked below /v1/: the path as TensorFlow Serving reads it, less its query."""
        path = http.scope["raw_path"].decode("latin-1")
        verb, model, version, label = parse_path(http.method, path)
        endpoint = {"predict": self.predict, "status": self.status, "metadata": self.metadata}.get(verb)
        if endpoint is None:
            raise Unimplemented(f"This gateway answers :predict. Received: {path}")
        http.scope["path_params"] = {
            "model": model,
            "version": None if version is None else str(version),
            "label": label,
        }
        http.scope[OPERATION_KEY] = ("tfs", verb)
        return await endpoint(http)

    async def predict(self, http: Http) -> Response:
        """TensorFlow Serving's predict: `instances` answered by `predictions`, `inputs` by `outputs`."""
        payload = PredictPayload(await read_bytes(http, self._body_bytes))
        ref = ref_of(http)
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        try:
            answer = await self._plane.predict(Request(ref, payload, deadline))
        except NotFound:
            raise _not_found(ref) from None
        return Response(encode_predict(answer.columns, payload.row_format), media_type=_JSON)

    async def status(self, http: Http) -> Response:
        """The states of a model's versions; a label is ignored, as in TensorFlow Serving."""
        ref = ref_of(http)
        seconds = seconds_allowed(http, self._seconds)
        return _reply(_plain(await self._backend.status(ref.name, ref.version, seconds)))

    async def metadata(self, http: Http) -> Response:
        """The signatures of the version that predict would ask."""
        ref = ref_of(http)
        try:
            servable = self._plane.route(ref)
        except NotFound:
            raise _not_found(ref) from None
        spec = {"name": servable.name, "version": str(servable.version), "signature_name": ""}
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
        return _reply({"model_spec": spec, "metadata": {"signature_def": _plain(signatures)}})


def _not_found(ref: ModelRef) -> InvalidArgument | NotFound:
    if ref.label is not None:
        return InvalidArgument(f"Unrecognized servable version label: {ref.label}")
    wanted = f"Latest({ref.name})" if ref.version is None else f"Specific({ref.name}, {ref.version})"
    return NotFound(f"Servable not found for request: {wanted}")


def _plain(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _reply(document: Any) -> Response:
    return Response(orjson.dumps(document, option=orjson.OPT_INDENT_2), media_type=_JSON)
