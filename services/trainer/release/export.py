"""From a trained model to a SavedModel that TensorFlow Serving serves: endpoints, card, warm-up file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from plugins.contract import InputField, Signature
from services.core.card import CARD_PATH, Card, SignatureCard
from services.core.errors import InvalidArgument
from services.core.gateway_client import as_json
from services.core.tensors import Array
from services.trainer.release.warmup import write_warmup

_START = "start"
_STATE = "state_"

Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Exported:
    """What each endpoint was asked in this process, and what the model in memory answered."""

    examples: Mapping[str, Tensors]
    answers: Mapping[str, Tensors]


def signature_cards(signatures: Mapping[str, Signature]) -> Mapping[str, SignatureCard]:
    """The signatures as the card tells them; bytes of an example become {"b64": "..."}."""
    return {
        name: SignatureCard(
            task=signature.task,
            description=signature.description,
            inputs=tuple(signature.inputs),
            outputs=tuple(signature.outputs),
            example=as_json(signature.example),
        )
        for name, signature in signatures.items()
    }


def export(model: Any, signatures: Mapping[str, Signature], card: Card, folder: Path) -> Exported:
    """Write the SavedModel with its card and warm-up file into `folder`, which must not exist.

    Keras also writes the first endpoint as `serving_default`, unless one is called so.

    Raises InvalidArgument when a signature's function does not take or return what its fields say.
    """
    if not card.signatures_for(card.task):
        raise InvalidArgument(f"A model for {card.task} has a signature for that. Received: {', '.join(signatures)}")
    functions = {name: _traceable(name, signature) for name, signature in signatures.items()}
    exported = _tried(functions, signatures)
    archive = keras.export.ExportArchive()
    archive.track(_Holder(model))
    for name, function in functions.items():
        archive.add_endpoint(name, function)
    archive.write_out(str(folder), verbose=False)
    describe(folder, card, exported)
    return exported


def tried(signatures: Mapping[str, Signature]) -> Exported:
    """What each signature answers to its example. Raises InvalidArgument as `export` does."""
    return _tried({name: signature.function for name, signature in signatures.items()}, signatures)


def describe(folder: Path, card: Card, exported: Exported) -> None:
    """Put card and warm-up file into the folder of a SavedModel."""
    (folder / CARD_PATH).parent.mkdir(parents=True, exist_ok=True)
    (folder / CARD_PATH).write_text(card.model_dump_json(indent=1))
    write_warmup(folder, card.model, exported.examples)


def _tried(functions: Mapping[str, Any], signatures: Mapping[str, Signature]) -> Exported:
    examples = _examples(functions, signatures)
    answers = {name: _answer(functions[name], signatures[name], examples[name]) for name in signatures}
    for name, signature in signatures.items():
        _check_outputs(name, signature, answers[name])
    return Exported(examples, answers)


class _Holder(tf.Module):
    """A model for Keras to look for tables of words in. Variables it finds by the functions that use them; given the
    model itself, it writes them a second time."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


def _traceable(name: str, signature: Signature) -> Any:
    """The signature's function, traced once for any number of rows. Raises InvalidArgument if its parameters differ."""
    parameters = inspect.signature(signature.function).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]
    fields = [field.name for field in signature.inputs]
    if names != (fields if len(names) == len(parameters) else fields[: len(names)]):
        raise InvalidArgument(
            f"The function of signature {name} has its inputs as parameters, in order: {fields}. Received: {names}"
        )
    specs = [tf.TensorSpec((None, *field.shape), field.dtype, name=field.name) for field in signature.inputs]
    function = tf.function(signature.function, input_signature=specs, autograph=False)
    function.get_concrete_function()
    return function


def _examples(functions: Mapping[str, Any], signatures: Mapping[str, Signature]) -> Mapping[str, Tensors]:
    """Each signature's example as tensors of one row. Opaque state is what `start` returns for its own example."""
    examples = {name: _row(name, signature) for name, signature in signatures.items()}
    if _START not in signatures:
        return examples
    started = _answer(functions[_START], signatures[_START], examples[_START])
    return {
        name: {
            field: started[field] if field.startswith(_STATE) and field in started else array
            for field, array in example.items()
        }
        for name, example in examples.items()
    }


def _row(name: str, signature: Signature) -> Tensors:
    known = {field.name for field in signature.inputs}
    if unknown := set(signature.example) - known:
        raise InvalidArgument(
            f"The example of signature {name} has its inputs: {', '.join(sorted(known))}. Received: {sorted(unknown)}"
        )
    return {
        field.name: _tensor(name, field, signature.example.get(field.name, field.default)) for field in signature.inputs
    }


def _tensor(signature: str, field: InputField, value: Any) -> Array:
    if value is None:
        raise InvalidArgument(
            f"The example of signature {signature} gives every input without a default. Received: no {field.name}"
        )
    if field.dtype == "string":
        encoded = np.vectorize(lambda item: item.encode() if isinstance(item, str) else item, otypes=[object])
        return np.asarray(encoded(np.array(value, object)), object)[np.newaxis]
    try:
        array = np.asarray(value, field.dtype)
    except (ValueError, TypeError):
        array = None
    if array is None or array.ndim != len(field.shape):
        raise InvalidArgument(
            f"The example of signature {signature} gives {field.name} as {field.dtype} of shape {list(field.shape)}. "
            f"Received: {value!r:.100}"
        )
    return array[np.newaxis]


def _answer(function: Any, signature: Signature, example: Tensors) -> Tensors:
    answer = function(*(tf.constant(example[field.name], field.dtype) for field in signature.inputs))
    return {name: tensor.numpy() for name, tensor in answer.items()}


def _check_outputs(name: str, signature: Signature, answer: Tensors) -> None:
    """Fields and dtypes as promised; shapes too, for they are what the card tells the gateway."""
    promised = {field.name: field for field in signature.outputs}
    if set(answer) != set(promised):
        raise InvalidArgument(f"Signature {name} returns {sorted(promised)}. Received: {sorted(answer)}")
    for field in signature.outputs:
        array = answer[field.name]
        dtype = "string" if array.dtype == object else array.dtype.name
        shape_fits = array.ndim == len(field.shape) + 1 and all(
            size in (None, actual) for size, actual in zip(field.shape, array.shape[1:], strict=True)
        )
        if dtype != field.dtype or not shape_fits:
            raise InvalidArgument(
                f"Output {field.name} of signature {name} is {field.dtype} of shape [rows, {list(field.shape)}]. "
                f"Received: {dtype} of shape {list(array.shape)}"
            )
