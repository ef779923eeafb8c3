"""What makes values of a client's bytes, each as one function of bytes: Hypothesis and atheris drive the same ones."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from hypothesis import strategies as st
from starlette.requests import Request

from services.core.card import Task
from services.core.errors import TensorgateError
from services.core.refs import parse_ref
from services.core.tensors import to_proto, to_typed_proto
from services.core.tfs import predict_pb2
from services.core.tfs_json import decode_predict, error_body
from services.core.tfs_json_examples import decode_examples
from services.core.tfs_paths import parse_path
from services.gateway import bodies, open_inference_grpc, open_inference_infer, tfs_grpc, typed_bodies, typed_grpc
from services.gateway.buffers import read_float_rows
from services.gateway.faults import open_inference_fault, public_text
from services.gateway.instances import Instances
from services.gateway.open_inference_schemas import GenerateBody, GenerateParameters
from services.gateway.openai_images import wish_of
from services.gateway.openai_schemas import CompletionBody, ImagesBody
from services.gateway.pictures import check_picture
from services.gateway.routing_table import Servable
from services.gateway.schemas import ClassifyBody, ExplainBody, GenerateTextBody, read_body
from services.gateway.stops import stops_of
from services.stubs.inference import open_inference_pb2 as oip
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.fuzz import wires
from tests.fuzz.mutations import JSON_WORDS, WIRE_WORDS, messages, mutated, token_wise
from tests.gateway.backend import signature_def
from tests.gateway.models import ALL, card_of, png

BODY_BYTES = 1 << 20  # what the gateway is told to take
MOST_PIXELS = 32_000_000

Told = Callable[[str], bytes]


@dataclass(frozen=True)
class Parser:
    """`read` makes a value or raises a TensorgateError, whose text `told` writes as its door does.

    `seeds` are right; `words` mean something to the format; `inputs` are what came of both.
    """

    read: Callable[[bytes], object]
    seeds: Sequence[bytes]
    words: Sequence[bytes]
    inputs: st.SearchStrategy[bytes]
    told: Told = open_inference_fault

    def __call__(self, data: bytes) -> str:
        """How it ended: "value", or the name of the error's code."""
        try:
            self.read(data)
        except TensorgateError as error:
            code, text = public_text(error)
            self.told(text)
            return code.name
        return "value"


def servable_of(name: str) -> Servable:
    """A tiny model as the router has it."""
    model = ALL[name]
    return Servable(name, 1, card_of(name, model), {key: signature_def(one.card) for key, one in model.items()}, ("",))


AFFINE, DIGITS, HOUSES, READER, WRITER, PAINTER = map(
    servable_of, ("affine", "digits", "houses", "reader", "writer", "painter")
)
TYPES: Mapping[str, Any] = {**AFFINE.signature_defs, **HOUSES.signature_defs, **READER.signature_defs}


def _predict(body: bytes) -> object:
    """Both readers, which must agree."""
    fast = read_float_rows(body, TYPES)
    slow = decode_predict(body, TYPES)
    if fast is not None:
        assert (fast.signature_name, fast.row_format) == (slow.signature_name, slow.row_format)
        for name, array in fast.inputs.items():
            np.testing.assert_array_equal(array, slow.inputs[name], strict=True)
    return slow


def _typed(schema: Any, task: Task, servable: Servable) -> Callable[[bytes], object]:
    def read(body: bytes) -> object:
        if schema is ClassifyBody:
            return typed_bodies.read_instances(body, task, schema)[0].tensors(servable)
        options = read_body(schema, bodies.parse_json(body))
        return Instances(task, [options.row], options.signature).tensors(servable)

    return read


def _text(body: bytes) -> object:
    asked = read_body(GenerateTextBody, bodies.parse_json(body))
    stops_of([asked.stop] if isinstance(asked.stop, str) else asked.stop)
    row = {**(asked.model_extra or {}), "prompt": asked.prompt, "steps": 1}
    return Instances(Task.GENERATE_TEXT, [row], "start").tensors(WRITER)


def _generate(body: bytes) -> object:
    return read_body(GenerateParameters, read_body(GenerateBody, bodies.parse_json(body)).knobs)


def _completion(body: bytes) -> object:
    return parse_ref(read_body(CompletionBody, bodies.parse_json(body)).model)


def _images(body: bytes) -> object:
    asked = read_body(ImagesBody, bodies.parse_json(body))
    parse_ref(asked.model)
    return wish_of(asked, lambda: 7).tensors(PAINTER)


def _infer(body: bytes) -> object:
    """The header's length on the first line, the body after it."""
    length, _, content = body.partition(b"\n")
    stated = length.decode("latin-1") if length else None
    return open_inference_infer._asked(content, stated).payload.tensors(AFFINE)


def _multipart(body: bytes) -> object:
    """The content type on the first line, the body after it."""
    kind, _, content = body.partition(b"\n")
    http = Request({"type": "http", "headers": [(b"content-type", kind)], "method": "POST", "query_string": b"a=1"})
    rows = asyncio.run(typed_bodies._uploaded(http, content))
    return Instances(Task.CLASSIFY, rows, written=True).tensors(DIGITS)


def _gzip(body: bytes) -> object:
    return bodies._unpacked(body, "gzip", BODY_BYTES)


def _picture(body: bytes) -> object:
    check_picture(body, "picture", MOST_PIXELS)
    return None


def _path(target: bytes) -> object:
    method, _, path = target.decode("latin-1").partition(" ")
    return parse_path(method, path)


def _ref(text: bytes) -> object:
    return parse_ref(text.decode(errors="replace"))


def _seconds(value: bytes) -> object:
    return bodies.seconds_allowed(Request({"type": "http", "headers": [(b"x-request-timeout-seconds", value)]}), 1.0)


def _message(kind: Any, read: Callable[[Any], object]) -> Callable[[bytes], object]:
    """What is no message is gRPC's to refuse."""

    def parse(data: bytes) -> object:
        try:
            message = kind.FromString(data)
        except DecodeError:
            return None
        return read(message)

    return parse


def _tfs_inputs(request: Any) -> object:
    tfs_grpc._ref_of(request.model_spec)
    return {name: tfs_grpc._array(name, tensor, BODY_BYTES) for name, tensor in request.inputs.items()}


def _oip_inputs(request: Any) -> object:
    return open_inference_grpc._asked(request).tensors(AFFINE)


def _instances(request: Any) -> object:
    rows = [typed_grpc._values_of(instance.inputs) for instance in request.instances]
    typed_grpc._ref_of(request.model)
    return Instances(Task.REGRESS, rows, request.signature).tensors(HOUSES)


def predict_request(array: Any, model: str = "affine", *, typed: bool) -> bytes:
    """TensorFlow Serving's."""
    request = predict_pb2.PredictRequest(inputs={"x": (to_typed_proto if typed else to_proto)(array)})
    request.model_spec.name = model
    return bytes(request.SerializeToString())


def infer_request(*, raw: bool) -> bytes:
    """Open Inference's over gRPC."""
    request = oip.ModelInferRequest(model_name="affine", model_version="1", id="a")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[2])
    if raw:
        request.raw_input_contents.append(np.array([1, 3], np.float32).tobytes())
    else:
        tensor.contents.fp32_contents.extend([1, 3])
    return request.SerializeToString()


def regress_request() -> bytes:
    """The typed door's over gRPC."""
    instance = pb.Instance(inputs={"rooms": pb.Value(number=3), "river": pb.Value(number=1)})
    return pb.RegressRequest(model=pb.Model(name="houses", label="stable"), instances=[instance]).SerializeToString()


def in_parts(boundary: bytes = b"x", files: int = 2) -> bytes:
    """A form of pictures."""
    head = b'Content-Disposition: form-data; name="image_bytes"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    parts = b"".join(b"--" + boundary + b"\r\n" + head + png(salt=salt) + b"\r\n" for salt in range(files))
    return parts + b"--" + boundary + b"--\r\n"


def binary(data: bytes, datatype: str = "FP32") -> bytes:
    """An `infer` with its tensor behind the JSON: the header's value, a line's end, the body."""
    tensor = {"name": "x", "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
    text = json.dumps({"inputs": [tensor], "outputs": [{"name": "y"}]}).encode()
    return str(len(text)).encode() + b"\n" + text + data


_PNG = base64.b64encode(png()).decode()
_JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\0\x02\0\x02\x03\x01\x22\0\xff\xd9"
_FLOATS = np.array([1, 3], np.float32)
_WORDS = np.array([b"a", b"bc"], object)
_STRINGS = b"\x01\0\0\0a\x02\0\0\0bc"

SEEDS: Mapping[str, Sequence[bytes]] = {
    "predict": (
        b'{"instances": [1.0, 2]}',
        b'{"signature_name": "regress", "instances": [{"rooms": 1.5, "river": 1}, {"rooms": 2, "river": 0}]}',
        b'{"signature_name": "classify", "inputs": {"text": ["a", {"b64": "YQ=="}]}}',
        b'{"signature_name": "serving_default", "inputs": [[1, 2], [3, 4.5]]}',
    ),
    "examples": (
        b'{"examples": [{"a": 1, "b": [1.5, 2], "c": "x"}, {"c": {"b64": "YQ=="}}]}',
        b'{"signature_name": "classify", "context": {"a": [1, 2]}, "examples": [{"b": ["x", "y"]}]}',
    ),
    "classify": (
        json.dumps({"instances": [{"image_bytes": {"b64": _PNG}}] * 2, "top_k": 1}).encode(),
        b'{"instance": {"image": [[0.5, 1], [0, 1]]}, "signature": "serving_default", "threshold": 0.5}',
    ),
    "regress": (b'{"instances": [{"rooms": 3, "river": 1}, {"rooms": 0.5}]}', b'{"instance": {"rooms": 3}}'),
    "explain": (
        json.dumps({"instance": {"image_bytes": {"b64": _PNG}, "target": "one", "alpha": 0.5}}).encode(),
        json.dumps({"image_bytes": {"b64": _PNG}, "target": 1}).encode(),
    ),
    "text": (b'{"prompt": "the soul", "length": 9, "stop": ["x", "yz"], "n": 2, "temperature": 0.5, "seed": 7}',),
    "generate": (b'{"id": "a", "text_input": "soul", "parameters": {"max_tokens": 5, "stop": "q"}, "seed": 1}',),
    "completion": (b'{"model": "writer@stable", "prompt": ["a", "b"], "max_tokens": 5, "n": 1, "logprobs": 2}',),
    "images": (b'{"model": "painter/1", "prompt": "seed=7 a cat", "n": 2, "size": "auto"}',),
    "infer": (
        b'\n{"id": "a", "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 3]}]}',
        binary(_FLOATS.tobytes()),
        binary(_STRINGS, "BYTES"),
    ),
    "multipart": (b"multipart/form-data; boundary=x\n" + in_parts(), b"multipart/form-data; boundary=x\n--x--\r\n"),
    "gzip": (
        gzip.compress(b'{"instances": [1]}', mtime=0),
        gzip.compress(b"", mtime=0) * 2 + gzip.compress(b"0" * 9000, mtime=0),
        gzip.compress(b"0" * (BODY_BYTES + 9), mtime=0),
    ),
    "picture": (png(), _JPEG, png(40_000, 40_000)),
    "path": (
        b"POST /v1/models/affine/versions/1:predict",
        b"POST /v1/models/affine/labels/stable:classify",
        b"GET /v1/models/a%20b/versions/3/metadata",
    ),
    "ref": (b"mnist", b"mnist/3", b"mnist@canary"),
    "seconds": (b"1.5", b"0", b"3600"),
    "grpc_predict": tuple(
        predict_request(x, typed=typed) for x in (_FLOATS, _WORDS, _FLOATS > 1) for typed in (False, True)
    )
    + tuple(predict_request(_FLOATS.astype(kind), typed=True) for kind in ("f2", "c8", "i4", "u8")),
    "grpc_infer": (infer_request(raw=True), infer_request(raw=False)),
    "grpc_regress": (regress_request(),),
    **wires.SEEDS,
}
_PARTS = (
    b"\r\n",
    b"--x",
    b"--x--",
    b"name=",
    b'"',
    b";",
    b"filename*=utf-8''%ff",
    b"charset=nobody",
    b"boundary=",
    b":",
)
_PICTURES = (b"\xff\xff", b"\xff\xc2", b"\0\0", b"\xff\xff\xff\xff", b"IHDR", b"\xff\xd0")
_PATHS = (
    b"/",
    b":",
    b"%",
    b"%00",
    b"%ff",
    b"9" * 30,
    b"9" * 5000,
    b"predict",
    b"/versions/",
    b"/labels/",
    b"\xb2",
    b" ",
)


def _json(read: Callable[[bytes], object], name: str, told: Told = open_inference_fault) -> Parser:
    return Parser(read, SEEDS[name], JSON_WORDS, token_wise(SEEDS[name], JSON_WORDS), told)


def _binary(
    read: Callable[[bytes], object], name: str, words: Sequence[bytes], told: Told = open_inference_fault
) -> Parser:
    inputs = st.one_of(mutated(SEEDS[name], words), token_wise(SEEDS[name], words))
    return Parser(read, SEEDS[name], words, inputs, told)


def _grpc(kind: Any, read: Callable[[Any], object], name: str) -> Parser:
    whole = messages(kind, ("x", "affine", "houses", "rooms", "FP32", "BYTES", "1", "stable"))
    inputs = st.one_of(whole.map(lambda one: one.SerializeToString()), mutated(SEEDS[name], WIRE_WORDS))
    return Parser(_message(kind, read), SEEDS[name], WIRE_WORDS, inputs)


PARSERS: Mapping[str, Parser] = {
    "predict": _json(_predict, "predict", error_body),
    "examples": _json(lambda body: decode_examples(body, "classify"), "examples", error_body),
    "classify": _json(_typed(ClassifyBody, Task.CLASSIFY, DIGITS), "classify"),
    "regress": _json(_typed(ClassifyBody, Task.REGRESS, HOUSES), "regress"),
    "explain": _json(_typed(ExplainBody, Task.EXPLAIN, DIGITS), "explain"),
    "text": _json(_text, "text"),
    "generate": _json(_generate, "generate"),
    "completion": _json(_completion, "completion"),
    "images": _json(_images, "images"),
    "infer": _json(_infer, "infer"),
    "infer_bytes": _binary(_infer, "infer", (*JSON_WORDS, *WIRE_WORDS)),
    "multipart": _binary(_multipart, "multipart", _PARTS),
    "gzip": _binary(_gzip, "gzip", (b"\x1f\x8b\x08", *SEEDS["gzip"][:2])),
    "picture": _binary(_picture, "picture", _PICTURES),
    "path": _binary(_path, "path", _PATHS, error_body),
    "ref": _binary(_ref, "ref", (b"@", b"/", b"0", b"-", b"\xd9\xa1", b"9" * 5000)),
    "seconds": _binary(_seconds, "seconds", (b"nan", b"inf", b"-", b"_", b"e", b"1" * 5000)),
    "grpc_predict": _grpc(predict_pb2.PredictRequest, _tfs_inputs, "grpc_predict"),
    "grpc_infer": _grpc(oip.ModelInferRequest, _oip_inputs, "grpc_infer"),
    "grpc_regress": _grpc(pb.RegressRequest, _instances, "grpc_regress"),
    "http": _binary(wires.read_http, "http", wires.HTTP_WORDS),
    "grpc": _binary(wires.read_grpc, "grpc", wires.HTTP_2_WORDS),
}
