from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Samples, Unavailable
from plugins.pictures import EXAMPLE
from plugins.slices import packed, packed_numbers
from plugins.style_transfer.data import CROP, StyleConfig
from plugins.style_transfer.losses import CONTENT_LAYER, STYLE_LAYERS, grams
from plugins.style_transfer.model import Judge, build_eyes
from plugins.style_transfer.painter import FAST, Convolution, Painter, build_fast
from plugins.style_transfer.plugin import EXAMPLE_STYLE, INPUTS, PLUGIN
from plugins.style_transfer.transfer import LARGEST, LEAST, STATES, example_state

KNOBS = {"steps": 4, "size": 64, "content_weight": 0.025, "style_weight": 1.0, "variation_weight": 1e-4}


@pytest.fixture(scope="module")
def eyes() -> Any:
    """Six small convolutions with weights of chance, called as a network that is known."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((None, None, 3))
    maps = [pixels]
    for filters in (4, 6, 8, 8, 8, 8):
        stride = 1 if len(maps) in (1, 6) else 2
        maps.append(keras.layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu")(maps[-1]))
    return keras.Model(pixels, maps[1:], name="vgg16")


@pytest.fixture(scope="module")
def endpoints(eyes: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, eyes)


@pytest.fixture(scope="module")
def painter(eyes: Any) -> Painter:
    keras.utils.set_random_seed(1)
    train = Samples(np.zeros((4, CROP, CROP, 3), np.uint8), np.zeros(4))
    return build_fast(StyleConfig(learning_rate=0.01), train, Judge(eyes, np.zeros((40, 50, 3), np.uint8)))


@pytest.fixture(scope="module")
def fast(painter: Painter, serve: Serve) -> Endpoint:
    return serve(PLUGIN, painter)["generate"]


def png(pixels: Array) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def photograph(height: int, width: int) -> bytes:
    return png(np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8))


def pixels_of(file: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(file)))


def columns(*rows: Mapping[str, Any]) -> Mapping[str, Array]:
    whole = [{"image_bytes": EXAMPLE, "style_bytes": EXAMPLE_STYLE, **KNOBS, **row} for row in rows]
    types = {field.name: object if field.dtype == "string" else field.dtype for field in INPUTS}
    return {name: np.array([row[name] for row in whole], types[name]) for name in types}


def whole(endpoints: Mapping[str, Endpoint], **row: Any) -> tuple[Array, float]:
    answer = endpoints["generate"](**columns(row))
    return pixels_of(answer["image_bytes"][0]), float(answer["loss"][0])


def start(endpoints: Mapping[str, Endpoint], work: int, *rows: Mapping[str, Any]) -> Mapping[str, Array]:
    return endpoints["start"](**columns(*rows), work=np.full(len(rows), work, np.int32))


def go_on(endpoints: Mapping[str, Endpoint], work: int, states: Mapping[str, Any]) -> Mapping[str, Array]:
    kept = {name: np.asarray(states[name], object) for name in STATES}
    return endpoints["continue"](work=np.full(len(kept[STATES[0]]), work, np.int32), **kept)


# --- the losses ----------------------------------------------------------------------------------------------------


def test_a_style_does_not_depend_on_how_large_its_picture_is(eyes: Any) -> None:
    tile = tf.constant(np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)), tf.float32)
    tiled = tf.tile(tile, (1, 3, 3, 1))
    for small, large in zip(grams(eyes(tile), tile), grams(eyes(tiled), tiled), strict=True):
        np.testing.assert_allclose(small, large, rtol=0.3, atol=0.1 * np.max(large))


# --- descent -------------------------------------------------------------------------------------------------------


def test_the_longer_it_descends_the_smaller_the_loss(endpoints: Mapping[str, Endpoint]) -> None:
    losses = [whole(endpoints, steps=steps)[1] for steps in (0, 3, 30)]
    assert losses[0] > losses[1] > losses[2] > 0


def test_without_steps_the_photograph_comes_back(endpoints: Mapping[str, Endpoint]) -> None:
    file = photograph(70, 90)
    pixels, _ = whole(endpoints, image_bytes=file, steps=0, size=512)
    np.testing.assert_allclose(pixels, pixels_of(file), atol=1)


def test_a_photograph_that_is_its_own_style_has_nothing_to_lose_but_its_noise(
    endpoints: Mapping[str, Endpoint],
) -> None:
    file = photograph(70, 90)
    _, loss = whole(endpoints, image_bytes=file, style_bytes=file, steps=0, variation_weight=0.0)
    assert loss == pytest.approx(0, abs=1e-4)
    assert whole(endpoints, image_bytes=file, style_bytes=file, steps=0)[1] > 1


def test_each_weight_has_its_say(endpoints: Mapping[str, Endpoint]) -> None:
    photo, _ = whole(endpoints, steps=0)

    def moved(**knobs: Any) -> float:
        nothing = {"content_weight": 0.0, "style_weight": 0.0, "variation_weight": 0.0}
        pixels, _ = whole(endpoints, **{**nothing, **knobs})
        return float(np.mean(np.abs(pixels.astype(int) - photo)))

    assert moved() == 0
    assert moved(content_weight=1.0) < 0.01  # it begins where its content is
    assert moved(style_weight=1.0) > 1
    assert moved(variation_weight=1.0) > 1
    assert moved(style_weight=1.0, content_weight=1000.0) < moved(style_weight=1.0)


@pytest.mark.parametrize(
    ("size", "asked", "painted"),
    [
        ((1, 1), 320, (64, 64)),
        ((300, 150), 100, (100, 64)),
        ((2000, 40), 512, (512, 64)),
        ((119, 150), 10**6, (119, 150)),
        ((119, 150), -1, (64, 64)),
    ],
)
def test_pictures_of_any_size_are_taken_within_limits(
    endpoints: Mapping[str, Endpoint], size: tuple[int, int], asked: int, painted: tuple[int, int]
) -> None:
    pixels, loss = whole(endpoints, image_bytes=photograph(*size), size=asked, steps=1)
    assert pixels.shape == (*painted, 3) and np.isfinite(loss)
    _, loss = whole(endpoints, style_bytes=photograph(*size), size=asked, steps=1)
    assert np.isfinite(loss)


@pytest.mark.parametrize("name", ["image_bytes", "style_bytes"])
@pytest.mark.parametrize("file", [b"", b"no picture", EXAMPLE[:200]])
def test_what_is_no_picture_is_refused(endpoints: Mapping[str, Endpoint], name: str, file: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        whole(endpoints, **{name: file})


# --- slices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("works", [(0, 1, 1, 1, 1), (1, 3), (2, 0, 500), (4,)])
def test_slices_of_any_size_give_the_same_picture(endpoints: Mapping[str, Endpoint], works: tuple[int, ...]) -> None:
    pixels, loss = whole(endpoints)
    answer = start(endpoints, works[0], {})
    for work in works[1:]:
        assert answer["progress"][0] < 1
        answer = go_on(endpoints, work, answer)
    assert answer["progress"].tolist() == [1.0]
    assert float(answer["loss"][0]) == pytest.approx(loss, rel=1e-6)  # a sum of many floats
    np.testing.assert_array_equal(pixels_of(answer["image_bytes"][0]), pixels)


def test_pictures_of_different_sizes_and_steps_share_a_slice(endpoints: Mapping[str, Endpoint]) -> None:
    rows: list[Mapping[str, Any]] = [{"image_bytes": photograph(64, 100), "size": 100}, {"steps": 2}, {"steps": 0}]
    together = start(endpoints, 1, *rows)
    assert together["progress"].tolist() == [0.25, 0.5, 1.0]
    together = go_on(endpoints, 5, together)
    assert together["progress"].tolist() == [1.0, 1.0, 1.0]
    for row, file in zip(rows, together["image_bytes"], strict=True):
        np.testing.assert_array_equal(pixels_of(file), whole(endpoints, **row)[0])


def state(array: Array) -> bytes:
    floats = tf.constant(array, tf.float32)
    return bytes((packed(floats) if floats.shape.rank == 3 else packed_numbers(floats)).numpy())


BOMB = tf.compat.v1.make_tensor_proto(1.0, shape=(6000, 6000, 3)).SerializeToString()  # 24 bytes


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        *((name, lie) for name in STATES[:4] for lie in (b"", b"no tensor", BOMB)),
        *((name, b"") for name in STATES),
        ("state_image", state(np.zeros((LARGEST + 1, 16, 3)))),
        ("state_image", state(np.zeros((LEAST - 1, 16, 3)))),
        ("state_image", state(np.full((LEAST, LEAST, 3), np.nan))),
        ("state_image", state(np.zeros((LEAST, 2 * LEAST, 3)))),
        ("state_image", state(np.zeros((LEAST, LEAST, 3)))[-200:]),
        ("state_momentum", state(np.zeros((LEAST, 2 * LEAST, 3)))),
        ("state_energy", state(np.full((LEAST, LEAST, 3), np.inf))),
        ("state_content", state(np.zeros((9, 9, 8)))),
        ("state_content", state(np.zeros((500, 1, 8)))),
        ("state_numbers", state(np.full(6, np.nan))),
    ],
)
def test_a_state_that_cannot_be_is_refused(endpoints: Mapping[str, Endpoint], eyes: Any, name: str, lie: bytes) -> None:
    states = {key: [value] for key, value in {**example_state(eyes), name: lie}.items()}
    with pytest.raises(tf.errors.InvalidArgumentError):
        go_on(endpoints, 1, states)


@pytest.mark.parametrize("number", [-1e30, -1.0, 1e30])
def test_numbers_in_a_state_that_cannot_be_are_bounded(
    endpoints: Mapping[str, Endpoint], eyes: Any, number: float
) -> None:
    states = {**example_state(eyes), "state_numbers": state(np.full(6, number))}
    answer = go_on(endpoints, 2, {key: [value] for key, value in states.items()})
    assert answer["progress"][0] == 1.0


# --- in a single pass ----------------------------------------------------------------------------------------------


def test_the_painter_learns_what_its_judge_wants(painter: Painter) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    before = painter.get_weights()
    learned = painter.fit(crops, np.zeros(2), batch_size=1, epochs=5, verbose=0).history["loss_ratio"]
    painter.set_weights(before)
    assert learned[-1] < 0.8 * learned[0]


def test_a_picture_is_judged_as_a_file_can_show_it(painter: Painter) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), np.uint8)
    beyond = tf.linspace(-60.0, 300.0, 32)[:, tf.newaxis] + tf.zeros((1, 32, 32, 3))
    shown = tf.clip_by_value(beyond, 0, 255)
    one, other = (painter.compute_loss(x=crops, y_pred=picture) for picture in (beyond, shown))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_convolution_sees_no_border() -> None:
    maps = Convolution(4, 5)(tf.ones((1, 8, 9, 2)))
    np.testing.assert_allclose(maps, np.broadcast_to(maps[:, :1, :1], (1, 8, 9, 4)), rtol=1e-5)


def test_what_judges_is_no_part_of_the_painter(painter: Painter) -> None:
    assert painter.name == FAST
    assert {id(one) for one in painter.weights} == {id(one) for one in painter.paint.weights}


@pytest.mark.parametrize(
    ("size", "asked", "painted"),
    [((1, 1), 512, (64, 64)), ((70, 91), 512, (70, 91)), ((1100, 600), 4096, (1024, 559))],
)
def test_a_painted_picture_is_as_large_as_its_photograph_within_limits(
    fast: Endpoint, size: tuple[int, int], asked: int, painted: tuple[int, int]
) -> None:
    file = photograph(*size)
    answer = fast(image_bytes=np.array([file], object), size=np.array([asked], np.int32))
    assert pixels_of(answer["image_bytes"][0]).shape == (*painted, 3)


# --- networks -------------------------------------------------------------------------------------------------------


def test_vgg16_and_vgg19_have_the_layers_and_see_something_in_the_smallest_state() -> None:
    twice = keras.Input((2 * LEAST, 2 * LEAST, 3))  # their last pooling, which is not used, would be empty
    for network in (keras.applications.VGG16, keras.applications.VGG19):
        built = network(weights=None, include_top=False, input_tensor=twice)
        assert all(min(built.get_layer(name).output.shape[1:3]) >= 2 for name in (*STYLE_LAYERS, CONTENT_LAYER))


def test_weights_that_cannot_be_had_are_named() -> None:
    with pytest.raises(Unavailable, match="vgg16"):
        build_eyes("vgg16", {})
