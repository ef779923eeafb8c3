"""Nonsense as the message of every gRPC method: it is the client's fault, whether it is a message or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from services.core.tensors import from_proto
from services.core.tfs import predict_pb2
from services.core.tfs_methods import METHODS
from services.stubs.inference import open_inference_pb2 as oip
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.fuzz.lengths import LOOK
from tests.fuzz.mutations import WIRE_WORDS, messages, mutated
from tests.fuzz.parsers import SEEDS, predict_request
from tests.fuzz.running import PATIENCE, Target

NAMES = (
    "x",
    "n",
    "y",
    "affine",
    "houses",
    "digits",
    "writer",
    "painter",
    "rooms",
    "prompt",
    "seed",
    "FP32",
    "BYTES",
    "1",
)
OURS = {
    f"/{service.full_name}/{method.name}": (GetMessageClass(method.input_type), method.server_streaming)
    for file in (pb.DESCRIPTOR, oip.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}
CALLS: dict[str, tuple[Any, bool]] = {**OURS, **{path: (kind, False) for path, kind in METHODS.items()}}
RIGHT = {
    kind: SEEDS[name] for kind, name in {oip.ModelInferRequest: "grpc_infer", pb.RegressRequest: "grpc_regress"}.items()
}
NOT_THERE = ("Classify", "Regress", "MultiInference", "HandleReloadConfigRequest")  # on the tiny server, or at all


@pytest.fixture(scope="module")
def channel(target: Target) -> Iterator[grpc.Channel]:
    """One that stays open over all cases."""
    with grpc.insecure_channel(f"127.0.0.1:{target.grpc_port}") as channel:
        yield channel


@pytest.mark.parametrize("path", CALLS)
@LOOK
@given(data=st.data())
def test_it_is_the_clients_fault_and_said_so(
    target: Target, channel: grpc.Channel, path: str, data: st.DataObject
) -> None:
    kind, streams = CALLS[path]
    whole = messages(kind, NAMES).map(lambda one: one.SerializeToString())
    body = data.draw(st.one_of(whole, mutated(RIGHT.get(kind, SEEDS["grpc_predict"]), WIRE_WORDS)))
    target.count("grpc")
    assert _code(channel, path, body, streams) in _may_be(kind, path, body)
    _check_own(target, channel)


def _code(channel: grpc.Channel, path: str, body: bytes, streams: bool) -> str:
    try:
        if streams:
            list(_any(channel.unary_stream(path))(body, timeout=PATIENCE))
        else:
            _any(channel.unary_unary(path))(body, timeout=PATIENCE)
    except grpc.RpcError as error:
        assert len(error.details() or "") < 16_000
        return str(error.code().name)
    return "OK"


def _any(call: Any) -> Any:
    """grpc's types know no calls of bytes."""
    return call


def _may_be(kind: Any, path: str, body: bytes) -> set[str]:
    refused = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"}
    if path not in METHODS:
        return refused
    try:
        kind.FromString(body)
    except DecodeError:
        return {"INTERNAL"}  # TensorFlow Serving's word for what is no message
    method = path.rpartition("/")[2]
    return {*refused, "UNIMPLEMENTED"} if method in NOT_THERE else refused


def _check_own(target: Target, channel: grpc.Channel) -> None:
    number = target.number()
    sent = predict_request(np.array([number], np.float32), typed=False)
    reply = _any(channel.unary_unary("/tensorflow.serving.PredictionService/Predict"))(sent, timeout=PATIENCE)
    answer = from_proto(predict_pb2.PredictResponse.FromString(reply).outputs["y"])
    assert answer.tolist() == [number / 2 + 2]
