"""What is written out by hand for serving is what was trained, and its sums are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from plugins.nietzsche.cell import EXACT, STATE_UNITS, on_grid
from plugins.nietzsche.data import split
from plugins.nietzsche.model import TextConfig
from plugins.nietzsche.plugin import PLUGIN, memory_of
from plugins.nietzsche.test_plugin import TEXT, small
from plugins.nietzsche.tokens import Words

EVERY_VARIANT = pytest.mark.parametrize("variant", PLUGIN.variants)


def read(variant: str, rows: int = 8) -> tuple[Any, Any, Any, Any]:
    """A fresh model, its memory, and passages of the test text: codes and numbers."""
    data = split(TEXT, small(variant))
    model = PLUGIN.build_model(small(variant), variant, data.train)
    codes = data.test.inputs[:rows]
    return model, memory_of(model), codes, np.asarray(model.get_layer("tokens").ids(codes))


def began(memory: Any, ids: Any) -> Any:
    """What is carried after a prompt of these numbers."""
    rows, count = ids.shape
    pad = memory.offsets.shape[0]  # clipped to the number of no token
    padded = np.pad(ids, ((0, 0), (memory.width - count, 0)), constant_values=pad)
    return memory.enter(memory.begin(tf.constant(padded), tf.fill([rows], count)), 12)


@EVERY_VARIANT
def test_the_hand_written_network_is_kerass(variant: str) -> None:
    model, memory, codes, ids = read(variant)
    chances = model(codes).numpy()
    chances = chances[:, -1] if chances.ndim == 3 else chances
    if isinstance(model.get_layer("tokens"), Words):  # the unknown word is never written
        chances[:, 0] = 0
        chances /= chances.sum(axis=1, keepdims=True)
    told = tf.nn.softmax(memory.look(began(memory, ids))[1] + memory.offsets).numpy()
    np.testing.assert_allclose(told[:, : chances.shape[1]], chances, atol=2e-3)
    assert not told[:, chances.shape[1] :].any()


@EVERY_VARIANT
def test_token_by_token_is_the_same_to_the_bit_as_all_at_once(variant: str) -> None:
    _, memory, _, ids = read(variant)
    carried, whole = began(memory, ids[:, :5]), began(memory, ids)
    for column in ids[:, 5:].T:
        carried = memory.append(memory.look(carried)[0], carried, tf.constant(column), tf.ones(8, bool))
    np.testing.assert_array_equal(memory.look(carried)[1], memory.look(whole)[1])
    for one, other in zip(memory.leave(carried), memory.leave(whole), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_prediction_of_the_convnet_depends_on_64_characters() -> None:
    config = small("conv1d").model_copy(update={"window": 80})
    data = split(TEXT, config)
    model = PLUGIN.build_model(config, "conv1d", data.train)
    changed = np.tile(data.test.inputs[:1], (3, 1))
    changed[1, 80 - 65] = changed[2, 80 - 64] = ord("q")
    same, outside, inside = model(changed).numpy()[:, -1]
    np.testing.assert_array_equal(same, outside)
    assert np.abs(same - inside).max() > 0


@pytest.mark.parametrize("rows", [128, 512])
def test_sums_on_the_grid_are_exact_in_any_order(rows: int) -> None:
    random = np.random.default_rng(0)
    weights = on_grid(random.normal(0, 1, (rows, 32))).numpy() / STATE_UNITS
    state = np.round(random.uniform(-1, 1, (1, rows)) * STATE_UNITS).astype(np.float32)
    terms = (state.T * weights).astype(np.float32)
    sums = [terms[random.permutation(rows)].cumsum(axis=0, dtype=np.float32)[-1] for _ in range(5)]
    for one in sums:
        np.testing.assert_array_equal(one, (state.astype(np.float64) @ weights)[0])
    assert 2 ** (np.finfo(np.float32).nmant + 1) == EXACT


@pytest.mark.parametrize("variant", ["stateful", "windowed"])
def test_the_books_network_has_its_parameter_count(variant: str) -> None:
    alphabet = "".join(map(chr, range(ord("a"), ord("a") + 55)))  # 57 characters with newline and space
    config = small(variant).model_copy(update={"units": 128, "window": 60, "step": 60})
    train = split(alphabet * 30, config).train
    assert PLUGIN.build_model(config, variant, train).count_params() == 641 * 57 + 66_048 == 102_585


@EVERY_VARIANT
def test_training_brings_the_loss_below_the_baseline(variant: str) -> None:
    config = small(variant).model_copy(update={"units": 64, "step": 2, "optimizer": "adam", "learning_rate": 0.01})
    data = split(TEXT, config)
    model = PLUGIN.build_model(config, variant, data.train)
    model.fit(data.train.inputs, data.train.targets, batch_size=32, epochs=3, verbose=0)
    assert PLUGIN.evaluate(model, data.test, config)["loss"] < PLUGIN.baseline(data)["loss"]


def test_words_lose_nats_by_their_characters_and_unknown_ones_by_their_letters() -> None:
    text = "aa bb aa ccc aa bb aa ccc " * 30
    config = TextConfig(tokens="words", vocabulary=2, window=4, step=4)
    train = split(text, config).train
    model = PLUGIN.build_model(config, "words", train)
    known = model.get_layer("tokens").texts
    codes = np.array([[3, 1, 3, 0]])
    words = [train.assets["words"][code].decode() for code in codes[0]]
    chances = np.array([[[0.5, 0.3, 0.2]] * 4], np.float32)
    lost = sum(-np.log(chances[0, 0, known.index(word) if word in known else 0]) for word in words)
    spelled = sum(len(word) for word in words if word not in known)
    entropy = PLUGIN.baseline(split(text, config))["loss"]  # of a text and its like
    loss = float(np.ravel(model.loss(tf.constant(codes), tf.constant(chances)))[0])
    assert loss == pytest.approx((lost + spelled * entropy) / sum(map(len, words)), rel=0.01)
