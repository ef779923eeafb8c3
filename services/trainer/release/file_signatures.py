"""A model that somebody has already: what raw request it answers, from its file and a few words about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from plugins import pictures
from plugins.contract import InputField, OutputField, Signature, Task
from services.core.errors import InvalidArgument

_TEXT = "An example of a text."
_BYTES = 255.0
_INIT = "__saved_model_init_op"
_SAME = 1e-2  # two figures of which one was worked out in 16 bits
_ROWS = 7


@dataclass(frozen=True)
class Words:
    """What a file does not say of its model.

    `labels` name the scores of a classifier; `logits` are scores before softmax (of `independent` ones, sigmoid).
    `inputs` name what the model takes, in order; `features`, the columns of its only input. A model whose input is
    an array of `pixels` answers pictures: (0, 1) where it takes black as 0 and white as 1. `example` is an instance.
    """

    task: Task
    labels: tuple[str, ...] = ()
    logits: bool = False
    independent: bool = False
    unit: str = ""
    inputs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    pixels: tuple[float, float] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)


def of_keras(model: Any, words: Words) -> Mapping[str, Signature]:
    """The signatures of a Keras model; people's own, of pictures or of named features, first.

    Raises InvalidArgument for words that do not fit the model.
    """
    if not getattr(model, "inputs", None):
        raise InvalidArgument(
            "A model file says what it takes, as that of a Sequential or functional model does. Received: "
            f"{type(model).__name__} without known inputs; write a SavedModel instead: model.export(folder)"
        )
    fields = _inputs(model.inputs, words)
    outputs = _Outputs(model, words)

    def by_array(*columns: Any) -> Mapping[str, Any]:
        return outputs.of([_as_taken(column, taken) for column, taken in zip(columns, model.inputs, strict=True)])

    if words.pixels is not None:
        return {words.task.value: _by_picture(_only(model.inputs, "--pixels"), words, outputs)}
    arrays = Signature(words.task, by_array, fields, outputs.fields, words.example or _example(fields))
    if not words.features:
        return {"serving_default": arrays}
    named = _by_feature(_only(model.inputs, "--features"), words, outputs)
    row = [named.example.get(name) for name in words.features]
    whole = Signature(words.task, by_array, fields, outputs.fields, {fields[0].name: row})
    return {words.task.value: named, "serving_default": whole}


def of_saved_model(loaded: Any, words: Words) -> Mapping[str, Signature]:
    """The signatures of a SavedModel, as they are. Raises InvalidArgument for words that do not fit them."""
    if words.inputs or words.features or words.pixels is not None or words.logits:
        raise InvalidArgument(
            "What a SavedModel takes and returns is in it. Received: --inputs, --features, --pixels or --logits, which "
            "are for a file of Keras"
        )
    functions = {name: function for name, function in loaded.signatures.items() if name != _INIT}
    if not functions:
        raise InvalidArgument("A SavedModel has a signature: model.export(folder) writes one. Received: none")
    takes = {name: function.structured_input_signature[1].keys() for name, function in functions.items()}
    fits = {name for name, keys in takes.items() if words.example.keys() <= keys} or takes.keys()
    return {
        name: _saved(name, function, words, words.example if name in fits else {})
        for name, function in functions.items()
    }


def _saved(name: str, function: Any, words: Words, example: Mapping[str, Any]) -> Signature:
    takes, returns = function.structured_input_signature[1], function.structured_outputs
    fields = [_field(key, spec, _rows(key, spec)) for key, spec in takes.items()]
    outputs = _outputs({key: (_rows(key, spec), spec.dtype) for key, spec in returns.items()}, words)

    def call(*columns: Any) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = function(**dict(zip(takes, columns, strict=True)))
        return answer

    return Signature(words.task, call, fields, outputs, example or _example(fields), f"Signature {name}")


def _rows(name: str, spec: Any) -> tuple[int | None, ...]:
    """The shape of one instance."""
    if spec.shape.rank is None or spec.shape.rank < 1 or spec.shape[0] is not None:
        raise InvalidArgument(
            f"The first axis of each input and output is that of rows, of any number. Received: {name} of shape "
            f"{spec.shape}"
        )
    return tuple(spec.shape[1:])


def check_answers(signature: Signature, example: Mapping[str, Any]) -> None:
    """Whether rows are answered by themselves, and a classifier answers scores, to the example and to noise.

    Raises InvalidArgument.
    """
    noise = np.random.default_rng(0)
    rows = {
        name: np.concatenate([row, noise.standard_normal((_ROWS, *row.shape[1:]))]).astype(row.dtype)
        if row.dtype.kind == "f"
        else np.repeat(row, _ROWS + 1, axis=0)
        for name, row in example.items()
    }
    together = _answers(signature, rows)
    alone = [_answers(signature, {name: row[at : at + 1] for name, row in rows.items()}) for at in range(_ROWS + 1)]
    for output in signature.outputs:
        one, each = together[output.name], np.concatenate([answer[output.name] for answer in alone])
        if one.dtype.kind == "f" and not np.allclose(one, each, rtol=_SAME, atol=_SAME, equal_nan=True):
            raise InvalidArgument(
                f"Rows of one call do not touch each other, as they may be different people's. Received: {output.name} "
                f"of the same row is {each[-1].ravel()[:4].tolist()} alone, {one[-1].ravel()[:4].tolist()} among others"
            )
        if output.content == "scores":
            _check_scores(one, independent=output.independent)


def _answers(signature: Signature, rows: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = signature.function(*(tf.constant(rows[one.name], one.dtype) for one in signature.inputs))
    return {name: tensor.numpy() for name, tensor in answer.items()}


def _check_scores(scores: Any, *, independent: bool) -> None:
    wrong = ((scores < -_SAME) | (scores > 1 + _SAME)).any(axis=1)
    if not independent:
        wrong |= np.abs(scores.sum(axis=1) - 1) > _SAME
    if wrong.any():
        raise InvalidArgument(
            "Scores lie between 0 and 1 and those of a row add up to 1. If they come before softmax say --logits, if "
            f"each is a chance of its own --independent. Received: {scores[wrong][0, :8].tolist()}"
        )


class _Outputs:
    """What a Keras model returns, as fields and as tensors: of a classifier `scores`, of one with two labels and a
    single chance that of either; else `values`, or the model's own names where there are several.
    """

    def __init__(self, model: Any, words: Words) -> None:
        self._model = model
        self._words = words
        self._structure = _structure(model, "input")
        shapes = [tuple(output.shape[1:]) for output in model.outputs]
        self._both = words.task is Task.CLASSIFY and shapes == [(1,)] and len(words.labels) == 2
        only = "scores" if words.task is Task.CLASSIFY else "values"
        names = [only] if len(shapes) == 1 else _keys(_structure(model, "output")) or list(model.output_names)
        taken = [(2,)] if self._both else shapes
        dtypes = [tf.as_dtype(output.dtype) for output in model.outputs]
        wide = [tf.float32 if dtype.is_floating else dtype for dtype in dtypes]
        self.fields = _outputs(dict(zip(names, zip(taken, wide, strict=True), strict=True)), words)

    def of(self, columns: Sequence[Any]) -> Mapping[str, Any]:
        """The model's answer to its own inputs."""
        said = self._model(keras.tree.pack_sequence_as(self._structure, columns), training=False)
        pairs = zip(self.fields, keras.tree.flatten(said), strict=True)
        return {one.name: self._as_promised(one, tf.cast(tensor, one.dtype)) for one, tensor in pairs}

    def _as_promised(self, output: OutputField, tensor: Any) -> Any:
        if output.content == "scores" and self._words.logits:
            sigmoid = self._both or self._words.independent
            tensor = tf.sigmoid(tensor) if sigmoid else tf.nn.softmax(tensor)
        return tf.concat([1 - tensor, tensor], axis=1) if self._both else tensor


def _structure(model: Any, side: str) -> Any:
    """How inputs or outputs are put together: a tensor, a list, a dict; a Sequential has one of each."""
    return getattr(model, f"{side}s")[0] if isinstance(model, keras.Sequential) else getattr(model, side)


def _keys(structure: Any) -> list[str]:
    """Names of what is given by name, in Keras's order; none for what is not."""
    return list(keras.tree.flatten({key: key for key in structure})) if isinstance(structure, Mapping) else []


def _outputs(returned: Mapping[str, tuple[tuple[int | None, ...], Any]], words: Words) -> Sequence[OutputField]:
    """Fields of what is returned, shape and dtype by name. A classifier's scores have a column for each label."""
    fields = []
    for name, (shape, dtype) in returned.items():
        scores = words.task is Task.CLASSIFY and dtype.is_floating and len(shape) == 1
        if scores and len(words.labels or range(shape[0] or 0)) == shape[0]:
            told: dict[str, Any] = {"content": "scores", "labels": words.labels, "independent": words.independent}
        else:
            told = {"content": "text"} if dtype == tf.string else {"content": "values", "unit": words.unit}
        fields.append(OutputField(name=name, dtype=dtype.name, shape=shape, **told))
    if words.task is Task.CLASSIFY and sum(one.content == "scores" for one in fields) != 1:
        shapes = ", ".join(f"{one.name} {one.dtype} {list(one.shape)}" for one in fields)
        raise InvalidArgument(
            "A classifier has one output of scores, floats with a column for each label. Received: "
            f"{len(words.labels) or 'no'} labels, and a row is {shapes}"
        )
    return fields


def _inputs(taken: Sequence[Any], words: Words) -> Sequence[InputField]:
    """What the model takes by name. Keras counts its layers' names on, so a lone input has one that stays."""
    names = list(words.inputs) or [tensor.name for tensor in taken]
    if not words.inputs and len(taken) == 1:
        names = ["text" if tf.as_dtype(taken[0].dtype) == tf.string else "input"]
    if len(names) != len(taken):
        raise InvalidArgument(f"The model takes {len(taken)} inputs. Received: {len(names)} names for them")
    return [_field(name, tensor, _shape(tensor)) for name, tensor in zip(names, taken, strict=True)]


def _shape(tensor: Any) -> tuple[int | None, ...]:
    """Of one instance; a lone text stands by itself."""
    shape = tuple(tensor.shape[1:])
    return () if shape == (1,) and tf.as_dtype(tensor.dtype) == tf.string else shape


def _as_taken(column: Any, tensor: Any) -> Any:
    return column[:, tf.newaxis] if len(column.shape) < len(tensor.shape) else column


def _field(name: str, spec: Any, shape: tuple[int | None, ...]) -> InputField:
    dtype = tf.as_dtype(spec.dtype)
    return InputField(name=name, dtype=dtype.name, shape=shape, content="text" if dtype == tf.string else "numbers")


def _only(taken: Sequence[Any], option: str) -> Any:
    if len(taken) != 1:
        raise InvalidArgument(f"{option} is of a model with one input. Received: one with {len(taken)}")
    return taken[0]


def _by_feature(taken: Any, words: Words, outputs: _Outputs) -> Signature:
    if tuple(taken.shape[1:]) != (len(words.features),):
        raise InvalidArgument(
            f"There is a name for each column of the input, which is {list(taken.shape[1:])} a row. Received: "
            f"{len(words.features)} names"
        )
    dtype = tf.as_dtype(taken.dtype).name
    fields = [InputField(name=name, dtype=dtype) for name in words.features]

    def by_feature(*columns: Any) -> Mapping[str, Any]:
        return outputs.of([tf.stack(columns, axis=1)])

    return Signature(words.task, by_feature, fields, outputs.fields, words.example or _example(fields))


def _by_picture(taken: Any, words: Words, outputs: _Outputs) -> Signature:
    """Pictures as Keras's own loader makes them arrays: stretched to the model's size, bilinear, grey by luma."""
    shape = list(taken.shape[1:])
    if len(shape) < 2 or not all(shape) or shape[2:] not in ([], [1], [3]):
        raise InvalidArgument(
            f"Pixels are an input of height, width and 1 or 3 channels, of known sizes. Received: {shape}"
        )
    height, width, *channels = shape
    assert words.pixels is not None
    low, high = words.pixels
    dtype = tf.as_dtype(taken.dtype)

    def see(image_bytes: Any) -> Any:
        image = tf.image.resize(pictures.decode(image_bytes), (height, width))
        image = image if channels == [3] else tf.image.rgb_to_grayscale(image)
        image = tf.reshape(image, (height, width, *channels)) / _BYTES * (high - low) + low
        return tf.cast(image if dtype.is_floating else tf.round(image), dtype)

    def by_picture(image_bytes: Any) -> Mapping[str, Any]:
        seen = tf.TensorSpec((height, width, *channels), dtype)
        return outputs.of([tf.map_fn(see, image_bytes, fn_output_signature=seen)])

    example = words.example or {pictures.IMAGE.name: pictures.EXAMPLE}
    return Signature(words.task, by_picture, [pictures.IMAGE], outputs.fields, example)


def _example(fields: Sequence[InputField]) -> Mapping[str, Any]:
    """An instance of zeros, sizes that are free being 1."""
    return {one.name: _made(one) for one in fields}


def _made(one: InputField) -> Any:
    made: Any = _TEXT if one.content == "text" else 0
    for size in reversed(one.shape):
        made = [made] * (1 if size is None else size)
    return made
