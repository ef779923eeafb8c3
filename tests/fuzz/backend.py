"""The fuzzers' model server as a process: the tiny models, and some that answer row by row what can be checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from services.core.card import InputField, OutputField, SignatureCard, Task
from services.core.errors import InvalidArgument, TensorgateError
from services.core.tensors import Array
from tests.gateway.backend import Function, Model, Signature, TinyServer, serving
from tests.gateway.models import ALL


def _row_wise(
    inputs: Mapping[str, tuple[str, tuple[int, ...]]], output: tuple[str, str], function: Function
) -> Signature:
    (name, dtype), shape = output, next(iter(inputs.values()))[1]
    fields = tuple(InputField(name=one, dtype=kind, shape=sizes) for one, (kind, sizes) in inputs.items())
    answers = (OutputField(name=name, dtype=dtype, shape=shape),)
    return Signature(SignatureCard(task=Task.REGRESS, inputs=fields, outputs=answers, example={}), function)


def _reversed(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    answer = np.empty(len(columns["t"]), object)
    answer[:] = [text[::-1] for text in columns["t"]]
    return {"r": answer}


PLUS: Model = {
    "serving_default": _row_wise(
        {"x": ("float32", (3,))}, ("y", "float32"), lambda has: {"y": has["x"] + np.float32(1)}
    ),
    "whole": _row_wise({"n": ("int64", ())}, ("m", "int64"), lambda has: {"m": has["n"] * 3 + 1}),
    "square": _row_wise({"d": ("float64", (2, 2))}, ("e", "float64"), lambda has: {"e": has["d"] * 2}),
    "words": _row_wise({"t": ("string", ())}, ("r", "string"), _reversed),
    "pair": _row_wise(
        {"a": ("float32", ()), "b": ("int32", ())},
        ("c", "float32"),
        lambda has: {"c": has["a"] + has["b"].astype("f4")},
    ),
}


def _strict(signature: Signature) -> Signature:
    """Refuses what it cannot compute, as a graph does, instead of falling."""

    def function(columns: Mapping[str, Array]) -> Mapping[str, Array]:
        try:
            return signature.function(columns)
        except TensorgateError:
            raise
        except Exception as error:  # whatever Python says of a tensor that does not fit
            raise InvalidArgument(f"Input does not fit: {type(error).__name__}") from error

    return replace(signature, function=function)


MODELS: Mapping[str, Model] = {
    model: {name: _strict(signature) for name, signature in signatures.items()}
    for model, signatures in {**ALL, "plus": PLUS}.items()
}


async def main() -> None:
    """Serve until killed."""
    server = TinyServer({name: {1: model} for name, model in MODELS.items()})
    async with serving(server) as listener:
        print(json.dumps({"address": listener.address}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
