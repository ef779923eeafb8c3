"""What can be told of a graph by looking at its operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.core.tfs import types_pb2

# Those of dense and convolutional networks, whose time follows from the shapes of their inputs. None of these loops,
# decodes, or makes a tensor of a size that a value says.
_STEADY = """
    Add AddN AddV2 ArgMax AvgPool BatchMatMulV2 BiasAdd Cast ConcatV2 Const Conv2D DepthwiseConv2dNative Div Elu Erf
    Exp ExpandDims FusedBatchNormV3 Identity IdentityN LeakyRelu Log LogSoftmax MatMul Max MaxPool Maximum Mean Min
    Minimum Mul Neg NoOp Pack Placeholder Pow ReadVariableOp RealDiv Relu Relu6 Reshape Rsqrt Selu Shape Sigmoid
    Softmax Softplus Sqrt Square SquaredDifference Squeeze StridedSlice Sub Sum Tanh Transpose VarHandleOp
    """
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def is_steady(graph: Any, fetches: Iterable[str]) -> bool:
    """Whether the time that these tensors of a GraphDef take follows from the shapes of its inputs. Of tensors that it
    does not have nothing is known.
    """
    nodes = {node.name: node for node in graph.node}
    names = set(map(_node_of, fetches))
    if not names <= nodes.keys():
        return False
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    steady = frozenset(_STEADY.split())
    waiting, called = _needed(nodes, names), set[str]()
    while waiting:
        node = waiting.pop()
        if node.op in _CALLS:
            name = node.attr["f"].func.name
            if name not in called:
                called.add(name)
                waiting.extend(functions[name])
        elif node.op not in steady or _is_text(node):
            return False
    return True


def _needed(nodes: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
    """The nodes that these are made of, and they themselves."""
    waiting, needed = list(names), dict[str, Any]()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = nodes[name]
            waiting.extend(map(_node_of, nodes[name].input))
    return list(needed.values())


def _node_of(tensor: str) -> str:
    """Whose output it is: "name:1" is the second of "name", and of "^name" it only matters that it has run."""
    return tensor.removeprefix("^").partition(":")[0]


def _is_text(node: Any) -> bool:
    """An input whose values have sizes of their own."""
    return node.op == "Placeholder" and node.attr["dtype"].type == types_pb2.DT_STRING
