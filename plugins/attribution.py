"""Which words moved a text classifier's answer, in the graph.

Of a network that reads one text, by integrated gradients (Sundararajan, Taly and Yan 2017): from the text without its
words to the text, in a straight line through what the first layer makes of numbers (vectors, or marks), the slopes on
that way, added up, are what each word contributed. All contributions together are the difference of the two answers.

Of a network of any other shape, by erasure (Li, Monroe and Jurafsky 2016): how much the answer falls when a word is
struck out. That asks for answers only, one for each word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from plugins.contract import OutputField
from plugins.texts import PADDING, UNKNOWN

_STEPS = 16  # points on the way; their gradients are taken in one batch


def explanation(moved: str) -> tuple[OutputField, OutputField]:
    """The answers of a signature that explains: words, and how much each moved what `moved` says."""
    return (
        OutputField(name="words", dtype="string", shape=(None,), content="words", description="those that were read"),
        OutputField(
            name="attributions",
            dtype="float32",
            shape=(None,),
            content="attributions",
            description=f"how much each word moved {moved}",
        ),
    )


def word_attributions(model: Any, numbers: Any, target: Any) -> Any:
    """float32 [N, most words]: how much each word moved an answer of the model's, in the order of the words.

    `target` int32 [N] says which of its answers [N, any]; -1 is the largest. `numbers` int32 [N, length] are as
    `plugins.texts` makes them; the model's first layer turns them into vectors [N, length, any] or into marks [N, any].
    A word that occurs several times in marks shares what its mark moved. Short rows are filled up with 0. Each row is
    worked out on its own, so memory is bounded however many there are.
    """
    front, head = _halves(model)
    moved = tf.map_fn(
        lambda row: _of_one(front, head, *row),
        (numbers, target),
        fn_output_signature=tf.TensorSpec([None], tf.float32),
        parallel_iterations=1,
    )
    return tf.ragged.boolean_mask(moved, numbers >= UNKNOWN).to_tensor()


def erasure_attributions(answers: Callable[[Any], Any], numbers: Any, target: Any, struck: int) -> Any:
    """float32 [N, length]: how much higher an answer is than it would be with that word struck out.

    `answers` makes int32 [M, length] into [M, any]; several texts lie one behind the other in a row. `target` is as in
    `word_attributions`, and `struck` the number that stands for a missing word. One row is worked out after another.
    """

    def of_one(row: Any, target: Any) -> Any:
        length = tf.size(row)
        each_without_one = tf.linalg.set_diag(tf.tile(row[tf.newaxis], [length, 1]), tf.fill([length], struck))
        whole = answers(row[tf.newaxis])[0]
        wanted = _wanted(whole, target)
        return whole[wanted] - answers(each_without_one)[:, wanted]

    moved = tf.map_fn(
        lambda row: of_one(*row), (numbers, target), fn_output_signature=tf.float32, parallel_iterations=1
    )
    return tf.where(numbers == PADDING, 0.0, moved)


def _wanted(answers: Any, target: Any) -> Any:
    """The answer to explain, of [any]: the target, or the largest."""
    return tf.where(target < 0, tf.argmax(answers, output_type=tf.int32), target)


def _halves(model: Any) -> tuple[Any, Any]:
    """The first layer, and the model from there on."""
    front = model.layers[0]
    return front, keras.Model(front.output, model.outputs[0])


def _of_one(front: Any, head: Callable[[Any], Any], row: Any, target: Any) -> Any:
    """float32 [length]: of one row of numbers, int32 [length], and one target."""
    without_words = tf.where(row >= UNKNOWN, PADDING, row)
    here, there = tf.unstack(front(tf.stack([without_words, row])), num=2)
    way = (tf.range(_STEPS, dtype=tf.float32) + 0.5) / _STEPS  # the middle of each step
    points = here + tf.reshape(way, [-1] + [1] * here.shape.rank) * (there - here)
    with tf.GradientTape() as tape:
        tape.watch(points)
        answers = head(points)
        reason = answers[:, _wanted(answers[-1], target)]
    moved = tf.reduce_mean(tape.gradient(reason, points), axis=0) * (there - here)
    if moved.shape.rank == 2:
        return tf.reduce_sum(moved, axis=-1)
    occurrences = tf.math.bincount(row, minlength=tf.size(moved), maxlength=tf.size(moved), dtype=tf.float32)
    return tf.gather(tf.math.divide_no_nan(moved, occurrences), row)
