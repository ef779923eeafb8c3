"""From a trained model to a SavedModel that TensorFlow Serving serves: endpoints, card, warm-up file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from plugins.contract import Signature
from services.core.card import CARD_PATH, Card, SignatureCard
from services.core.gateway_client import as_json
from services.core.tensors import Array
from services.trainer.release.signatures import Shaped, Tensors, check_outputs, example_of, traced
from services.trainer.release.warmup import write_warmup

_START = "start"
_STATE = "state_"


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
    functions = traced(signatures)
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
        check_outputs(name, signature.outputs, {field: _shaped(array) for field, array in answers[name].items()})
    return Exported(examples, answers)


class _Holder(tf.Module):
    """A model for Keras to look for tables of words in. Variables it finds by the functions that use them; given the
    model itself, it writes them a second time."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


def _examples(functions: Mapping[str, Any], signatures: Mapping[str, Signature]) -> Mapping[str, Tensors]:
    """Each signature's example as tensors of one row. Opaque state is what `start` returns for its own example."""
    examples = {name: example_of(name, signature) for name, signature in signatures.items()}
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


def _answer(function: Any, signature: Signature, example: Tensors) -> Tensors:
    answer = function(*(tf.constant(example[field.name], field.dtype) for field in signature.inputs))
    return {name: tensor.numpy() for name, tensor in answer.items()}


def _shaped(array: Array) -> Shaped:
    return "string" if array.dtype == object else array.dtype.name, array.shape
