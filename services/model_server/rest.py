"""The REST door: an ASGI application that answers as TensorFlow Serving's HTTP server does."""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from services.core.errors import HTTP_STATUS, Code, DeadlineExceeded, NotFound, TensorgateError
from services.core.tfs import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)
from services.core.tfs_json import decode_predict, encode_predict, error_body
from services.core.tfs_json_examples import decode_examples, encode_classifications, encode_regressions
from services.core.tfs_paths import Target, is_tfs_path, parse_path
from services.model_server.inference import classify, regress
from services.model_server.metrics import Metrics
from services.model_server.model_service import status
from services.model_server.predict import run_signature
from services.model_server.prediction_service import metadata
from services.model_server.runner import Call, Runner
from services.model_server.servable import Servable
from services.model_server.server_core import ServerCore

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON = "application/json"
_HTML = "text/html"
_NOT_FOUND_PAGE = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]
_GZIP_WINDOW = 31


@dataclass(frozen=True)
class RestOptions:
    """`metrics_path`: where the Prometheus page lies, or None; `check_method` as in PredictionService."""

    timeout_seconds: float
    cors: bool
    metrics_path: str | None
    check_method: bool


@dataclass(frozen=True)
class _Answer:
    status: int
    content_type: str
    body: bytes


class RestApp:
    """ASGI: one instance answers every request."""

    def __init__(self, core: ServerCore, runner: Runner, metrics: Metrics, options: RestOptions) -> None:
        self._core = core
        self._runner = runner
        self._metrics = metrics
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _target_of(scope)
        body = await _read_body(receive, dict(scope["headers"]).get(b"content-encoding", b""))
        answer = await self._answer(scope["method"], path, body)
        headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
        if self._options.cors and is_tfs_path(path):
            headers += _CORS
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, method: str, path: str, body: bytes) -> _Answer:
        if self._options.metrics_path is not None and path == self._options.metrics_path:
            return _Answer(200, "text/plain", await asyncio.to_thread(self._metrics.page))  # a second, with 1000 models
        if not is_tfs_path(path):
            return _Answer(404, _HTML, _NOT_FOUND_PAGE)
        if method == "OPTIONS":
            return _Answer(200 if self._options.cors else 400, f"{_HTML}; charset=ISO-8859-1", b"")
        try:
            return _Answer(200, _JSON, await self._call(parse_path(method, path), body))
        except TensorgateError as error:
            text = error_body(error.message) if error.message else b""
            return _Answer(HTTP_STATUS[error.code], _JSON, text)
        except Exception:  # the edge of the service: a fault of ours becomes a status, its text stays here
            log.exception("A request failed")
            return _Answer(HTTP_STATUS[Code.INTERNAL], _JSON, error_body("Internal error; the server's log has it"))

    async def _call(self, target: Target, body: bytes) -> bytes:
        spec = _spec(target)
        if target.verb == "status":
            return _status_body(self._core, spec)
        if target.verb == "metadata":
            return _metadata_body(self._core, spec)
        work = {"predict": self._predict, "classify": self._classify, "regress": self._regress}[target.verb]
        call = Call(target.verb.capitalize(), "REST")
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                return await self._runner.run(call, spec, lambda servable: work(servable, spec, body))
        except TimeoutError as error:
            raise DeadlineExceeded("Timed out waiting for notification") from error

    def _predict(self, servable: Servable, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        decoded = decode_predict(body, servable.signatures)
        outputs = run_signature(servable, decoded.signature_name, decoded.inputs)
        return encode_predict(outputs, decoded.row_format)

    def _classify(self, servable: Servable, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        decoded = decode_examples(body, "classify")
        request = classification_pb2.ClassificationRequest(model_spec=spec, input=decoded.examples)
        request.model_spec.signature_name = decoded.signature_name
        return encode_classifications(classify(servable, request, self._options.check_method).result)

    def _regress(self, servable: Servable, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        decoded = decode_examples(body, "regress")
        request = regression_pb2.RegressionRequest(model_spec=spec, input=decoded.examples)
        request.model_spec.signature_name = decoded.signature_name
        return encode_regressions(regress(servable, request, self._options.check_method).result)


def _target_of(scope: Scope) -> str:
    """The request target as it was sent: TensorFlow Serving takes a query for a part of the model's name."""
    raw: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("latin-1")


def _spec(target: Target) -> model_pb2.ModelSpec:
    try:
        spec = model_pb2.ModelSpec(name=target.name, version_label=target.label)
    except UnicodeEncodeError:  # no UTF-8, which all names are
        if target.verb == "status":
            raise NotFound(f"Could not find any versions of model {target.name}") from None
        raise NotFound(f"Servable not found for request: Latest({target.name})") from None
    if target.version is not None:
        spec.version.value = target.version
    return spec


async def _read_body(receive: Receive, encoding: bytes) -> bytes:
    chunks = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(chunks)
    return _gunzipped(body) if encoding.lower() == b"gzip" else body


def _gunzipped(body: bytes) -> bytes:
    """The unpacked body; an empty one when it is no gzip or cut short, as TensorFlow Serving sees it."""
    unpack = zlib.decompressobj(_GZIP_WINDOW)
    try:
        unpacked = unpack.decompress(body)
    except zlib.error:
        return b""
    return unpacked if unpack.eof else b""


def _status_body(core: ServerCore, spec: model_pb2.ModelSpec) -> bytes:
    answered = status(core, get_model_status_pb2.GetModelStatusRequest(model_spec=spec))
    return json.dumps(_plain(answered), indent=1).encode() + b"\n"


def _metadata_body(core: ServerCore, spec: model_pb2.ModelSpec) -> bytes:
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    answered = metadata(core, request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answered.metadata["signature_def"].Unpack(signatures)
    body = {"model_spec": _plain(answered.model_spec), "metadata": {"signature_def": _plain(signatures)}}
    return json.dumps(body, indent=1).encode() + b"\n"


def _plain(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
