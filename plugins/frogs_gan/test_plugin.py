import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from plugins.cifar10_files import LABELS
from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data
from plugins.frogs_gan import vae
from plugins.frogs_gan.data import frogs_of, load
from plugins.frogs_gan.distance import frechet_distance
from plugins.frogs_gan.model import FrogsConfig, build, build_discriminator, build_generator, scaled, unscaled
from plugins.frogs_gan.pictures import arc
from plugins.frogs_gan.plugin import PLUGIN

TINY = FrogsConfig(filters=4)


def frogs(count: int) -> Array:
    """Something green."""
    levels = np.random.default_rng(0).normal((60, 160, 60), 20, (count, 32, 32, 3))
    return levels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> Any:
    """Weights so large that frogs differ."""
    keras.utils.set_random_seed(3)
    model = build(TINY)
    model.generator.set_weights([weight * 3 for weight in model.generator.get_weights()])
    return model


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


def pixels(picture: bytes) -> Array:
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int32)


def seeds(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def test_the_networks_have_the_books_parameter_counts() -> None:
    assert (build_generator().count_params(), build_discriminator().count_params()) == (6_264_579, 790_913)


def test_the_range_of_tanh_is_the_range_of_the_data() -> None:
    levels = np.arange(256, dtype=np.uint8)
    seen = np.asarray(scaled(levels))
    assert (seen.min(), seen.max()) == (-1, 1)
    np.testing.assert_array_equal(unscaled(seen), levels)


def test_a_seed_gives_the_same_bytes_alone_and_in_company(endpoints: Mapping[str, Endpoint]) -> None:
    crowd = endpoints["generate"](seed=np.arange(64), scale=np.ones(64, np.int32))["image_bytes"]
    assert len(set(crowd)) == 64
    for seed in (0, 17, 63):
        assert endpoints["generate"](seed=seeds(seed), scale=whole(1))["image_bytes"][0] == crowd[seed]


def test_a_point_is_drawn_as_the_generator_draws_it_each_row_at_its_own_scale(
    model: Any, endpoints: Mapping[str, Endpoint]
) -> None:
    point = np.random.default_rng(1).normal(size=(1, 32)).astype(np.float32)
    answer = endpoints["decode"](latent=point.repeat(3, axis=0), scale=whole(1, 3, 99))
    small, large, clipped = map(pixels, answer["image_bytes"])
    np.testing.assert_allclose(small, (np.asarray(model.generator(point))[0] + 1) * 127.5, atol=0.6)
    np.testing.assert_array_equal(large, small.repeat(3, axis=0).repeat(3, axis=1))
    assert clipped.shape == (512, 512, 3)


def test_a_sheet_has_the_frogs_of_the_seeds_that_follow(endpoints: Mapping[str, Endpoint]) -> None:
    sheet, single = map(pixels, endpoints["sheet"](seed=seeds(5, 9), n=whole(3, 1))["image_bytes"])
    assert (sheet.shape, single.shape) == ((96, 96, 3), (32, 32, 3))
    alone = map(pixels, endpoints["generate"](seed=np.arange(5, 14), scale=np.ones(9, np.int32))["image_bytes"])
    for number, frog in enumerate(alone):
        row, column = 32 * (number // 3), 32 * (number % 3)
        np.testing.assert_array_equal(sheet[row : row + 32, column : column + 32], frog)


def test_frames_run_from_one_seeds_frog_to_the_others(endpoints: Mapping[str, Endpoint]) -> None:
    ends = {"from_seed": seeds(1, 2), "to_seed": seeds(3, 2)}
    frames = endpoints["interpolate"](**ends, steps=whole(3, 5), scale=whole(1, 1))["image_bytes"]
    assert [[bool(picture) for picture in row] for row in frames] == [[True] * 3 + [False] * 2, [True] * 5]
    ones = endpoints["generate"](seed=seeds(1, 3), scale=whole(1, 1))["image_bytes"]
    for frame, one in zip((frames[0, 0], frames[0, 2]), ones, strict=True):
        np.testing.assert_allclose(pixels(frame).astype(int), pixels(one), atol=1)  # the sine's last bits
    assert not np.array_equal(pixels(frames[0, 1]), pixels(frames[0, 0]))
    assert len(set(frames[1])) == 1  # from a frog to itself


def test_the_way_between_two_points_keeps_their_distance_from_zero() -> None:
    start, end = tf.constant([3.0, 0.0]), tf.constant([0.0, 3.0])
    np.testing.assert_allclose(tf.norm(arc(start, end, 5), axis=1), 3.0, rtol=1e-5)


def test_the_discriminator_learns_to_tell_and_the_generator_to_deceive() -> None:
    keras.utils.set_random_seed(1)
    game = build(TINY)
    before = {part: part.get_weights() for part in (game.generator, game.discriminator)}
    losses = game.fit(frogs(60), frogs(60), batch_size=20, epochs=8, verbose=0).history
    assert set(losses) == {"discriminator_loss", "adversarial_loss"}
    assert np.isfinite([*losses["discriminator_loss"], *losses["adversarial_loss"]]).all()
    for part, weights in before.items():
        assert not any(np.array_equal(old, new) for old, new in zip(weights, part.get_weights(), strict=True))


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_each_network_learns_by_its_own_optimizer(still: str) -> None:
    keras.utils.set_random_seed(1)
    game = build(TINY)
    optimizers = {"generator": game.optimizer, "discriminator": game.discriminator.optimizer}
    assert float(optimizers["generator"].learning_rate) == pytest.approx(4e-4)
    assert float(optimizers["discriminator"].learning_rate) == pytest.approx(8e-4)
    optimizers[still].learning_rate = 0.0
    before = {name: getattr(game, name).get_weights() for name in optimizers}
    game.fit(frogs(20), frogs(20), batch_size=20, verbose=0)
    for name, weights in before.items():
        same = [np.array_equal(old, new) for old, new in zip(weights, getattr(game, name).get_weights(), strict=True)]
        assert all(same) if name == still else not any(same)


def test_the_discriminator_is_taught_that_made_frogs_are_ones_and_real_ones_zeros() -> None:
    game = build(TINY)
    asked: list[Array] = []
    game.generator = lambda points, training: tf.zeros((len(points), 32, 32, 3))

    def believes(*chances: float) -> Callable[..., Any]:
        def discriminator(pictures: Any, training: bool) -> Any:
            asked.append(np.asarray(pictures))
            return tf.constant(chances, shape=(2, 1))

        return discriminator

    game.discriminator = believes(0.9, 0.1)
    right = float(game._telling(frogs(1), 1)())
    np.testing.assert_array_equal(asked[0], np.concatenate([np.zeros((1, 32, 32, 3)), scaled(frogs(1))]))
    game.discriminator = believes(0.1, 0.9)
    assert right < 0.2 < 2 < float(game._telling(frogs(1), 1)())


def test_the_generator_wants_its_frogs_taken_for_real() -> None:
    game = build(TINY)
    losses = []
    for chance in (0.1, 0.9):
        game.discriminator = lambda pictures, training, chance=chance: tf.fill((len(pictures), 1), chance)
        losses.append(float(game._deceiving(4)))
    assert losses == pytest.approx([-np.log(0.9), -np.log(0.1)], rel=1e-4)


def test_the_vae_learns_and_paints_in_the_range_of_the_gan() -> None:
    keras.utils.set_random_seed(1)
    model = vae.build()
    losses = model.fit(frogs(64), np.zeros(64), batch_size=16, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    points = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
    np.testing.assert_allclose(model.generator(points), 2 * np.asarray(model.decoder(points)) - 1, atol=1e-6)


def test_the_distance_is_that_of_the_paper() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, (40_000, 2)), random.normal((3, 0), (2, 1), (40_000, 2))
    assert frechet_distance(one, other) == pytest.approx(9 + (2 - 1) ** 2, rel=0.05)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)


def test_the_distance_is_that_of_the_paper_where_features_hang_together() -> None:
    random = np.random.default_rng(0)
    one, other = (random.normal(size=(50, 3)) @ random.normal(size=(3, 3)) for _ in range(2))
    first, second = (np.cov(rows, rowvar=False, bias=True) for rows in (one, other))
    root = np.sqrt(np.linalg.eigvals(first @ second)).sum().real  # the trace of a matrix's root
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(first + second) - 2 * root
    assert frechet_distance(one, other) == pytest.approx(expected)


@pytest.mark.parametrize("rows", [1, 2])
def test_few_rows_have_a_distance_too(rows: int) -> None:
    one, other = np.random.default_rng(0).normal(size=(2, rows, 50))
    assert np.isfinite(frechet_distance(one, other))


def test_noise_is_further_from_frogs_than_other_frogs_and_every_figure_is_drawn(mirror: Folder, model: Any) -> None:
    data = load(mirror)
    few = Data(data.train, data.test.take(np.arange(16)))
    figures = PLUGIN.evaluate(model, few.test, TINY)
    assert 0 < figures["of_real_halves"] < PLUGIN.baseline(few)["frechet_distance"]
    assert np.isfinite(figures["frechet_distance"])
    sizes = {figure.name: pixels(figure.png).shape for figure in PLUGIN.figures(model, few, TINY)}
    assert sizes == {"made": (256, 256, 3), "real": (128, 128, 3)}


def test_frogs_are_picked_from_the_training_photographs() -> None:
    labels = np.array([6, 0, 6], np.uint8)[:, None]
    pictures = np.arange(3, dtype=np.uint8)
    read = frogs_of(lambda path: {"x_train": pictures, "y_train": labels, "x_test": pictures, "y_test": labels})
    assert LABELS[6] == "frog"
    assert {name: array.tolist() for name, array in read(Path()).items()} == {"x_train": [0, 2]}


def test_the_frogs_are_whole(mirror: Folder) -> None:
    data = load(mirror)
    assert data.train.inputs.shape == data.test.inputs.shape == (5000, 32, 32, 3)
