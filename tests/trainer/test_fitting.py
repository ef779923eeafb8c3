"""What the loop makes of a plugin's samples: named inputs, samples read from elsewhere, frozen parts, no training."""

from __future__ import annotations

import gc
import shutil
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

from plugins.contract import AllData, Array, Samples, Untrained, Variant
from services.core.errors import InvalidArgument
from services.trainer.fit.batches import batches, steps_at_once, steps_of
from services.trainer.fit.frozen import features
from services.trainer.pipeline import fit_all
from services.trainer.run_record import MetricRecord
from tests.trainer.tiny_plugin import Tiny, TinyConfig, draw, recipe_of

CONFIG = TinyConfig(epochs=2)


class TwoInputs(Tiny):
    """The four numbers come in two halves, and the answers are two."""

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
        both = keras.layers.Concatenate()([left, right])
        chance = keras.layers.Dense(2, activation="softmax", name="chance")(both)
        total = keras.layers.Dense(1, name="total")(both)
        model = keras.Model({"left": left, "right": right}, {"chance": chance, "total": total})
        losses = {"chance": "sparse_categorical_crossentropy", "total": "mse"}
        model.compile("adam", loss=losses, metrics={"chance": ["accuracy"]})
        return model


def in_halves(samples: Samples) -> Samples:
    halves = {"left": samples.inputs[:, :2], "right": samples.inputs[:, 2:]}
    return Samples(halves, {"chance": samples.targets, "total": samples.inputs.sum(axis=1)})


def test_inputs_and_targets_may_have_names(tmp_path: Path) -> None:
    samples = in_halves(draw(80, 1))
    assert len(samples) == 80
    recipe = recipe_of(TwoInputs(), tmp_path, CONFIG)
    recipe = replace(recipe, metric=MetricRecord(name="chance_accuracy", higher_is_better=True))
    model, (validated,), _ = fit_all(recipe, samples)
    assert set(validated.history) >= {"loss", "chance_accuracy", "val_chance_accuracy"}
    assert set(model.predict(samples.in_order(20), verbose=0)) == {"chance", "total"}


class Forgetful(Tiny):
    """Its author forgot a line."""

    variants = MappingProxyType({"nothing": Variant("returns none"), "raw": Variant("is not compiled")})

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        model = super().build_model(config, variant, train)
        return keras.Sequential(model.layers) if variant == "raw" else None


@pytest.mark.parametrize(("variant", "received"), [("nothing", "NoneType"), ("raw", "a Sequential, not compiled")])
def test_a_plugin_that_builds_no_compiled_model_is_told_so(variant: str, received: str, tmp_path: Path) -> None:
    recipe = replace(recipe_of(Forgetful(), tmp_path, CONFIG), variant=variant)
    with pytest.raises(InvalidArgument, match=rf"build_model returns a compiled keras\.Model\. Received: {received}"):
        fit_all(recipe, draw(80, 1))


def graphs() -> int:
    gc.collect()
    return sum(isinstance(one, FuncGraph) for one in gc.get_objects())


def test_what_was_trained_leaves_no_graph_behind(tmp_path: Path) -> None:
    before = graphs()
    fit_all(recipe_of(Tiny(), tmp_path, CONFIG), draw(80, 1))
    assert graphs() <= before


def windows(series: Array, width: int) -> Samples:
    starts = np.arange(len(series) - width, dtype=np.int32)
    return Samples(starts, series[starts + width], read=lambda rows: tf.gather(series, rows[:, None] + tf.range(width)))


def test_samples_may_be_read_from_elsewhere_batch_by_batch() -> None:
    samples = windows(np.arange(10.0), 3)
    inputs, targets = next(samples.take(np.array([4, 0])).in_order(8).as_numpy_iterator())
    assert inputs.tolist() == [[4, 5, 6], [0, 1, 2]]
    assert targets.tolist() == [7, 3]


def test_shuffled_samples_are_read_too_and_keep_their_targets() -> None:
    samples = windows(np.arange(50.0), 3)
    (epoch,) = [list(batches(samples, TinyConfig(batch_size=64), 1, range(1)).as_numpy_iterator())]
    ((inputs, targets),) = epoch
    assert sorted(targets) == list(range(3, 50))
    assert targets.tolist() != sorted(targets)
    np.testing.assert_array_equal(inputs[:, -1] + 1, targets)


class Frozen(Tiny):
    """A first layer that stays as it is, and counts how often it runs."""

    runs: int = 0

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        numbers = keras.Input((4,))
        base = keras.layers.Dense(8, activation="relu", trainable=False, name="base")(numbers)
        model = keras.Model(numbers, keras.layers.Dense(2, activation="softmax", name="head")(base))
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def frozen(self, model: Any) -> Any:
        self.runs += 1
        return keras.Model(model.input, model.get_layer("base").output)


def test_a_frozen_part_is_run_once_and_the_whole_model_comes_back(tmp_path: Path) -> None:
    plugin, samples = Frozen(), draw(120, 1)
    recipe = recipe_of(plugin, tmp_path, CONFIG)
    keras.utils.set_random_seed(CONFIG.seed)
    before = plugin.build_model(CONFIG, "dense", samples)
    model, (validated,), _ = fit_all(recipe, samples)
    assert plugin.runs == 1
    assert model.input_shape == (None, 4)
    np.testing.assert_array_equal(before.get_layer("base").kernel, model.get_layer("base").kernel)
    assert not np.array_equal(before.get_layer("head").kernel, model.get_layer("head").kernel)
    assert len(validated.history["val_accuracy"]) == CONFIG.epochs


def test_of_a_model_that_is_trained_already_only_what_judges_it_goes_through_the_frozen_part(tmp_path: Path) -> None:
    recipe = recipe_of(Frozen(), tmp_path, CONFIG)
    _, first, _ = fit_all(recipe, draw(120, 1))
    shutil.rmtree(recipe.folder.features)
    _, again, _ = fit_all(recipe, draw(120, 1))
    assert again == first
    assert [part.name for part in (recipe.folder.features / "hold-out").iterdir()] == ["validation"]


def test_training_behind_a_frozen_part_is_training_with_it_frozen(tmp_path: Path) -> None:
    class Whole(Frozen):
        def frozen(self, model: Any) -> Any:
            return None

    samples = draw(120, 1)
    split, _, _ = fit_all(recipe_of(Frozen(), tmp_path / "split", CONFIG), samples)
    whole, _, _ = fit_all(recipe_of(Whole(), tmp_path / "whole", CONFIG), samples)
    np.testing.assert_allclose(split.predict(samples.inputs, verbose=0), whole.predict(samples.inputs, verbose=0), 1e-5)


def test_a_killed_run_goes_on_with_the_frozen_part_where_it_was(tmp_path: Path) -> None:
    class Dies(Exception):
        """While the second piece is made."""

    class Part:
        """Doubles numbers."""

        calls = 0
        dies_at: int | None = 2

        def predict(self, batches: Any, verbose: int) -> Any:
            self.calls += 1
            if self.calls == self.dies_at:
                raise Dies
            return np.concatenate([2 * numbers for numbers, _ in batches.as_numpy_iterator()])

    samples, part = draw(1100, 1), Part()
    with pytest.raises(Dies):
        features(part, samples, tmp_path)
    part.dies_at = None
    np.testing.assert_array_equal(features(part, samples, tmp_path), 2 * samples.inputs)
    assert part.calls == 4  # of three pieces, the first is not made again


class Rule(Tiny):
    """Knows the answer without training."""

    variants = MappingProxyType({"rule": Variant("the sum's sign", protocol=Untrained()), "dense": Variant("learnt")})

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        model = super().build_model(config, variant, train)
        if variant == "rule":
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax", use_bias=False)])
            model.layers[0].kernel.assign(np.array([[-1.0, 1.0]] * 4, np.float32))
            model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def test_a_variant_may_come_as_it_is_where_others_are_trained(tmp_path: Path) -> None:
    samples = draw(100, 1)
    model, validated, final = fit_all(recipe_of(Rule(), tmp_path, CONFIG), samples)
    assert (validated, final.best_epoch, dict(final.history)) == ((), 0, {})
    assert Rule().evaluate(model, samples, CONFIG)["accuracy"] == 1.0


@pytest.mark.parametrize(("steps", "at_once"), [(1, 1), (24, 24), (96, 32), (625, 25), (601, 1)])
def test_calls_of_several_steps_end_where_an_epoch_ends(steps: int, at_once: int) -> None:
    assert steps_at_once(steps) == at_once


def test_an_epoch_may_be_part_of_a_pass_and_the_next_goes_on_where_it_stopped() -> None:
    samples, config = windows(np.arange(15.0), 3), TinyConfig(batch_size=4, steps_per_epoch=2)

    def targets(epochs: range) -> list[list[float]]:
        return [list(batch) for _, batch in batches(samples, config, 1, epochs).as_numpy_iterator()]

    one, two, three = (targets(range(epoch, epoch + 1)) for epoch in range(3))
    assert [len(one), len(two), len(three)] == [2, 2, 2]
    assert targets(range(3)) == [*one, *two, *three]
    for whole in ([*one, two[0]], [two[1], *three]):
        assert sorted(np.concatenate(whole)) == list(range(3, 15))


def test_no_epoch_is_longer_than_a_pass() -> None:
    configs = [TinyConfig(batch_size=4, steps_per_epoch=steps) for steps in (2, 3, 100)]
    assert [steps_of(draw(12, 1), config) for config in configs] == [2, 3, 3]


class Game(Tiny):
    """Two parts with an optimizer each, and random numbers; nothing is validated."""

    protocol = AllData()

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        model = Players()
        model.second.compile(keras.optimizers.RMSprop(config.learning_rate))
        model.compile(keras.optimizers.RMSprop(config.learning_rate))
        model.optimizer.build(model.first.trainable_variables)
        model.second.optimizer.build(model.second.trainable_variables)
        model.build((None, 4))
        return model


class Players(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]) for _ in range(2))
        self.noise = keras.random.SeedGenerator()

    def call(self, numbers: Any) -> Any:
        return self.first(numbers)

    def train_step(self, data: Any) -> Any:
        noise = keras.random.normal((1,), seed=self.noise)
        losses = {}
        for part, optimizer in ((self.first, self.optimizer), (self.second, self.second.optimizer)):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((part(data[0]) - noise) ** 2)
            optimizer.apply(tape.gradient(loss, part.trainable_variables), part.trainable_variables)
            losses[part.name] = loss
        return losses


def test_where_nothing_is_validated_one_model_learns_from_all_samples(tmp_path: Path) -> None:
    samples = draw(100, 1)
    _, validated, final = fit_all(recipe_of(Game(), tmp_path, CONFIG), samples)
    assert validated == ()
    assert (final.name, final.best_epoch, len(final.history)) == ("final", 2, 2)
    assert not any(name.startswith("val_") for name in final.history)


def test_a_fit_with_two_optimizers_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    def fitted(folder: str, *epochs: int) -> Any:
        for count in epochs:
            recipe = recipe_of(Game(), tmp_path / folder, TinyConfig(epochs=count))
            recipe.folder.path.mkdir(exist_ok=True)
            model, _, _ = fit_all(recipe, draw(100, 1))
        return model

    whole, stopped = fitted("whole", 3), fitted("stopped", 1, 3)
    assert len(whole.second.optimizer.variables) == 4
    for one, other in zip(_state(whole), _state(stopped), strict=True):
        np.testing.assert_array_equal(one, other)


def _state(game: Any) -> Any:
    return [*game.variables, *game.optimizer.variables, *game.second.optimizer.variables]
