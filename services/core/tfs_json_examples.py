"""TensorFlow Serving's REST classify and regress: JSON examples to tf.Example, results to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.core.errors import InvalidArgument
from services.core.tfs import classification_pb2, example_pb2, feature_pb2, input_pb2, regression_pb2
from services.core.tfs_json import dump, signature_name
from services.core.tfs_json_reader import debug_text, read_object
from services.core.tfs_json_values import B64_KEY, decoded, is_b64, json_type


@dataclass(frozen=True)
class ExamplesBody:
    """A decoded classify or regress request; an empty signature name means the default one."""

    signature_name: str
    examples: input_pb2.Input


def decode_examples(body: bytes, method: str) -> ExamplesBody:
    """Read the body of `method` ("classify" or "regress"). Raises InvalidArgument with TensorFlow Serving's texts."""
    document = read_object(body)
    name = signature_name(document)
    _check_utf8(name)
    read = input_pb2.Input()
    context = None
    if "context" in document:
        context = _example(document["context"])
    examples = document.get("examples")
    if "examples" not in document:
        raise InvalidArgument(
            f"JSON Value: {debug_text(document)} When method is {method}, key 'examples' is expected and was not found"
        )
    if not isinstance(examples, list):
        raise InvalidArgument(f"JSON Value: {debug_text(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidArgument(f"JSON Value: {debug_text(document)} 'examples' value is an empty array")
    if context is None:
        read.example_list.examples.extend(_example(example) for example in examples)
    else:
        read.example_list_with_context.context.CopyFrom(context)
        read.example_list_with_context.examples.extend(_example(example) for example in examples)
    return ExamplesBody(name, read)


def _check_utf8(name: str) -> None:
    """Protobuf's strings are, and a name that is no UTF-8 has come as far as here as surrogate escapes."""
    if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidArgument(f"Names are UTF-8. Received: {debug_text(name)}")


def _example(value: Any) -> example_pb2.Example:
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {json_type(value)}")
    example = example_pb2.Example()
    for name, member in value.items():
        _check_utf8(name)
        example.features.feature[name].CopyFrom(_feature(name, member))
    return example


def _feature(name: str, value: Any) -> feature_pb2.Feature:
    """Strings and b64 objects become bytes, whole numbers and bools int64, other numbers float."""
    values = value if isinstance(value, list) else [value]
    feature = feature_pb2.Feature()
    kinds = {_kind(item) for item in values}
    if len(kinds) > 1 or None in kinds:
        raise InvalidArgument(
            f"JSON feature {name} holds values of one kind, strings, whole numbers or decimal numbers. "
            f"Received: {debug_text(value)}"
        )
    if kinds == {"bytes"}:
        feature.bytes_list.value.extend(_bytes(item) for item in values)
    elif kinds == {"int64"}:
        feature.int64_list.value.extend(int(item) for item in values)
    elif kinds == {"float"}:
        with np.errstate(over="ignore"):
            feature.float_list.value.extend(np.array(values, np.float32).tolist())
    return feature


def _kind(value: Any) -> str | None:
    if isinstance(value, str) or is_b64(value):
        return "bytes"
    if isinstance(value, int):
        return "int64" if -(2**63) <= value < 2**63 else None
    return "float" if isinstance(value, float) else None


def _bytes(value: str | Mapping[str, str]) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return decoded(value[B64_KEY])


def encode_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """`{"results": [[[label, score], ...], ...]}`."""
    scores = np.array([c.score for row in result.classifications for c in row.classes])
    rows = [[[c.label, c.score] for c in row.classes] for row in result.classifications]
    return dump({"results": rows}, {"scores": scores})


def encode_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """`{"results": [value, ...]}`."""
    values = [regression.value for regression in result.regressions]
    return dump({"results": values}, {"values": np.array(values)})
