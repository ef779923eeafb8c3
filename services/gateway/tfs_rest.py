"""TensorFlow Serving's REST door, for its clients, with its texts and bodies.

The differences a client sees: without version or label the answer comes from `stable`, not from the newest version; and
`GET /v1/models`, an error there, is OpenAI's list here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from starlette.requests import Request as Http
from starlette.responses import Response

from services.core.errors import NotFound
from services.core.refs import is_model_name
from services.core.tfs import classification_pb2, get_model_metadata_pb2, regression_pb2
from services.core.tfs_json import decode_predict, encode_predict
from services.core.tfs_json_examples import ExamplesBody, decode_examples, encode_classifications, encode_regressions
from services.core.tfs_paths import parse_path
from services.gateway.backend import STATUS, status_request
from services.gateway.backends import Backends
from services.gateway.bodies import LARGE, read_by, read_bytes, ref_of, seconds_allowed
from services.gateway.buffers import read_float_rows
from services.gateway.caller import check_allowed
from services.gateway.faults import OPERATION_KEY
from services.gateway.plane import DataPlane
from services.gateway.replies import JsonReply
from services.gateway.request import Request, Tensors
from services.gateway.routing_table import Servable
from services.gateway.tfs_faults import not_found


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

    def __init__(self, plane: DataPlane, backends: Backends, *, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._backends = backends
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def answer(self, http: Http) -> Response:
        """All that is asked below /v1/: the path as TensorFlow Serving reads it, less its query."""
        path = http.scope["raw_path"].decode("latin-1")
        verb, model, version, label = parse_path(http.method, path)
        endpoints = {
            "predict": self.predict,
            "classify": self.classify,
            "regress": self.regress,
            "status": self.status,
            "metadata": self.metadata,
        }
        if not is_model_name(model):
            raise NotFound(
                f"Could not find any versions of model {model}"
                if verb == "status"
                else f"Servable not found for request: Latest({model})"
            )
        http.scope["path_params"] = {
            "model": model,
            "version": None if version is None else str(version),
            "label": label,
        }
        http.scope[OPERATION_KEY] = ("tfs", verb)
        return await endpoints[verb](http)

    async def predict(self, http: Http) -> Response:
        """TensorFlow Serving's predict: `instances` answered by `predictions`, `inputs` by `outputs`."""
        body = await read_bytes(http, self._body_bytes)
        payload = PredictPayload(body)
        ref = ref_of(http)
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        try:
            answer = await self._plane.predict(Request(ref, payload, deadline, len(body) > LARGE))
        except NotFound:
            raise not_found(ref) from None
        return JsonReply(encode_predict(answer.columns, payload.row_format))

    async def classify(self, http: Http) -> Response:
        """tf.Examples in JSON to labels with scores."""
        read = await self._examples(http, "classify")
        request = classification_pb2.ClassificationRequest(input=read.examples)
        request.model_spec.signature_name = read.signature_name
        reply = await self._pass_on(http, "Classify", request)
        return JsonReply(encode_classifications(reply.result))

    async def regress(self, http: Http) -> Response:
        """tf.Examples in JSON to values."""
        read = await self._examples(http, "regress")
        request = regression_pb2.RegressionRequest(input=read.examples)
        request.model_spec.signature_name = read.signature_name
        reply = await self._pass_on(http, "Regress", request)
        return JsonReply(encode_regressions(reply.result))

    async def _examples(self, http: Http, method: str) -> ExamplesBody:
        body = await read_bytes(http, self._body_bytes)
        return await read_by(decode_examples, len(body), body, method)

    async def _pass_on(self, http: Http, method: str, request: Any) -> Any:
        ref = ref_of(http)
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)

        def ask(servable: Servable) -> Awaitable[Any]:
            request.model_spec.name, request.model_spec.version.value = servable.name, servable.version
            return self._backends.forward(method, request, deadline, servable=servable)

        try:
            return await self._plane.call(ref, deadline, ask, examples=request.input)
        except NotFound:
            raise not_found(ref) from None

    async def status(self, http: Http) -> Response:
        """The states of a model's versions; a label is ignored, as in TensorFlow Serving."""
        ref = ref_of(http)
        check_allowed(ref.name)
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        request = status_request(ref.name, ref.version)
        return _reply(_plain(await self._backends.forward(STATUS, request, deadline)))

    async def metadata(self, http: Http) -> Response:
        """The signatures of the version that predict would ask."""
        ref = ref_of(http)
        try:
            servable = self._plane.route(ref)
        except NotFound:
            raise not_found(ref) from None
        spec = {"name": servable.name, "version": str(servable.version), "signature_name": ""}
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
        return _reply({"model_spec": spec, "metadata": {"signature_def": _plain(signatures)}})


def _plain(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _reply(document: Any) -> Response:
    return JsonReply(orjson.dumps(document, option=orjson.OPT_INDENT_2))
