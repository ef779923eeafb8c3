"""What the event loop runs itself: what was short again and again, of signatures that no value can slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from services.core.tensors import Array, to_proto
from services.core.tfs import meta_graph_pb2, model_pb2, predict_pb2, types_pb2
from services.model_server.graph import is_steady
from services.model_server.metrics import Metrics
from services.model_server.runner import Call, Runner
from services.model_server.servable import Servable
from services.model_server.server_core import ServerCore
from services.model_server.shortness import Kind, Shortness, kind_of

SHORT, LONG = 1e-5, 0.01
ENOUGH = 16
HERE = threading.get_ident()
KIND: Kind = ("serving_default", (-1, 1, 3))


def learned(runs: Sequence[float], kind: Kind = KIND) -> Shortness:
    shortness = Shortness({"serving_default"})
    for seconds in runs:
        shortness.learn(kind, seconds)
    return shortness


def test_a_kind_is_short_when_it_has_been_often_enough_and_until_it_is_not() -> None:
    assert not learned([SHORT] * (ENOUGH - 1)).expects(KIND)
    assert learned([SHORT] * ENOUGH).expects(KIND)
    assert not learned([*[SHORT] * ENOUGH, LONG]).expects(KIND)
    assert not learned([*[SHORT] * ENOUGH, LONG, SHORT]).expects(KIND)


def test_a_signature_that_a_value_can_slow_is_never_short() -> None:
    loops: Kind = ("generate", KIND[1])
    assert not learned([SHORT] * ENOUGH, loops).expects(loops)


def test_shapes_that_clients_choose_take_bounded_memory() -> None:
    shortness = learned([SHORT] * ENOUGH)
    for size in range(10_000):
        shortness.learn(("serving_default", (-1, size)), SHORT)
    assert len(shortness._short) <= 256


@pytest.mark.parametrize(("one", "other", "alike"), [(64, 127, True), (64, 128, False), (1, 2, False)])
def test_a_kind_is_the_signature_and_its_shapes_to_the_power_of_two(one: int, other: int, *, alike: bool) -> None:
    kinds = [
        kind_of(predict_pb2.PredictRequest(inputs={"x": to_proto(np.zeros((rows, 4), np.float32))}), "serve")
        for rows in (one, other)
    ]
    assert (kinds[0] == kinds[1]) is alike


def test_a_value_written_once_for_a_large_shape_is_as_large_as_that_shape() -> None:
    request = predict_pb2.PredictRequest()
    tensor = request.inputs["x"]
    tensor.dtype = types_pb2.DT_FLOAT
    tensor.float_val.append(1)
    for size in (1_000_000, 784):
        tensor.tensor_shape.dim.add(size=size)
    assert kind_of(request, "serve") == ("serve", (-1, 20, 10))


def test_of_an_output_filter_nothing_is_known() -> None:
    """The session makes a callable for it first, which takes a hundred times as long as a short run."""
    request = predict_pb2.PredictRequest(inputs={"x": to_proto(np.zeros((1, 4), np.float32))}, output_filter=["y"])
    assert kind_of(request, "serve") is None


class Still:
    """A session that is not asked."""

    steady: Set[str] = {"serving_default"}

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> Sequence[Array]:
        raise AssertionError(fetches)

    def close(self) -> None:
        """Nothing was opened."""


class OneServable:
    """A core that serves one version, whatever is asked for."""

    def __init__(self) -> None:
        self._servable = Servable(Still(), {}, threads=1, version=1)

    def serves(self, name: str) -> bool:
        return True

    def servable(self, spec: Any) -> Servable:
        return self._servable


@pytest.mark.anyio
async def test_short_work_is_done_by_the_event_loop_and_long_work_by_a_thread() -> None:
    runner = Runner(cast(ServerCore, OneServable()), Metrics(CollectorRegistry()))

    async def where(work: Callable[[Servable], int], kind: Kind | None = KIND) -> int:
        return await runner.run(Call("Predict", "GRPC"), model_pb2.ModelSpec(name="m"), work, kind=kind)

    def short(_: Servable) -> int:
        return threading.get_ident()

    def long(_: Servable) -> int:
        time.sleep(LONG)
        return threading.get_ident()

    first = [await where(short) for _ in range(10 * ENOUGH)]
    assert HERE not in first[:ENOUGH]
    assert first[-1] == HERE
    assert await where(short, kind=None) != HERE
    assert await where(long) == HERE  # nobody could know; from now on it is known
    assert await where(long) != HERE


def graph(nodes: Sequence[tuple[str, str, Sequence[str]]], functions: Mapping[str, Sequence[str]]) -> Any:
    """Nodes as (name, operation, inputs), `f` called where the operation is a call; functions as their operations."""
    made = meta_graph_pb2.MetaGraphDef().graph_def
    for name, operation, inputs in nodes:
        node = made.node.add(name=name, op=operation, input=inputs)
        node.attr["f"].func.name = "f"
    for name, operations in functions.items():
        function = made.library.function.add()
        function.signature.name = name
        for number, operation in enumerate(operations):
            function.node_def.add(name=str(number), op=operation).attr["f"].func.name = "f"
    return made


NETWORK = [("x", "Placeholder", ()), ("y", "StatefulPartitionedCall", ("x", "^w")), ("w", "VarHandleOp", ())]


@pytest.mark.parametrize(
    ("operations", "steady"),
    [
        (["MatMul", "BiasAdd", "Softmax"], True),
        (["MatMul", "While"], False),
        (["DecodeJpeg"], False),
        (["PartitionedCall", "MatMul"], True),  # of itself: a graph may be anything
    ],
)
def test_a_signature_is_steady_when_all_that_it_calls_is(operations: Sequence[str], *, steady: bool) -> None:
    assert is_steady(graph(NETWORK, {"f": operations}), ["y:0"]) is steady


def test_what_a_signature_does_not_need_does_not_make_it_unsteady() -> None:
    other = [*NETWORK, ("z", "While", ("x",))]
    assert is_steady(graph(other, {"f": ["MatMul"], "g": ["While"]}), ["y:0"])
    assert not is_steady(graph(other, {"f": ["MatMul"]}), ["y:0", "z"])


def test_of_a_tensor_that_is_not_there_nothing_is_known() -> None:
    """A sparse output has no name of its own."""
    assert not is_steady(graph(NETWORK, {"f": ["MatMul"]}), ["y:0", ""])


def test_text_has_sizes_that_shapes_do_not_tell() -> None:
    made = graph([("x", "Placeholder", ()), ("y", "Identity", ("x",))], {})
    assert is_steady(made, ["y:0"])
    made.node[0].attr["dtype"].type = types_pb2.DT_STRING
    assert not is_steady(made, ["y:0"])
