from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Unavailable
from plugins.deep_dream.data import weights_of
from plugins.deep_dream.dream import BORDER, SMALLEST, Dreamer, Knobs
from plugins.deep_dream.model import LAYERS
from plugins.deep_dream.plugin import DEPTHS, PLUGIN, QUICK, WEIGHTS
from plugins.efficientnet import efficientnet_lite0
from plugins.pictures import EXAMPLE

KNOBS = {**QUICK, **dict(zip(DEPTHS, WEIGHTS, strict=True))}


@pytest.fixture(scope="module")
def model() -> Any:
    """Four small convolutions with weights of chance, called as a network that is known."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((None, None, 3))
    maps = [keras.layers.Rescaling(1 / 255)(pixels)]
    for filters in (4, 6, 8, 8):
        maps.append(keras.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(maps[-1]))
    return keras.Model(pixels, maps[1:], name="vgg16")


@pytest.fixture(scope="module")
def endpoint(model: Any, serve: Serve) -> Endpoint:
    return serve(PLUGIN, model)["generate"]


def dream(endpoint: Endpoint, picture: bytes, **knobs: Any) -> tuple[Array, float]:
    """The dream's pixels, and its excitement."""
    types = {name: np.int32 if isinstance(value, int) else np.float32 for name, value in KNOBS.items()}
    columns = {name: np.array([value], types[name]) for name, value in {**KNOBS, **knobs}.items()}
    answer = endpoint(image_bytes=np.array([picture], object), **columns)
    return np.asarray(Image.open(io.BytesIO(answer["image_bytes"][0]))), float(answer["excitement"][0])


def photograph(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def test_the_longer_it_dreams_the_more_excited_it_is(endpoint: Endpoint) -> None:
    knobs = {"step_size": 0.002, "max_excitement": 1000.0}
    calm, some, much = (dream(endpoint, photograph(96, 128), steps=steps, **knobs)[1] for steps in (0, 2, 8))
    assert calm == pytest.approx(1, abs=0.05) and calm < some < much


@pytest.mark.parametrize("octaves", [1, 3])
def test_without_steps_the_photograph_comes_back_whole_its_lost_details_put_back(
    endpoint: Endpoint, octaves: int
) -> None:
    picture = photograph(130, 170)
    pixels, _ = dream(endpoint, picture, steps=0, octaves=octaves, size=512)
    np.testing.assert_allclose(pixels, np.asarray(Image.open(io.BytesIO(picture))), atol=1)


def test_a_dream_ends_when_it_is_exciting_enough(endpoint: Endpoint) -> None:
    _, little = dream(endpoint, EXAMPLE, steps=50, octaves=1, max_excitement=1.1)
    _, much = dream(endpoint, EXAMPLE, steps=50, octaves=1, max_excitement=1000.0)
    assert 1 < little < much


def test_a_layer_without_weight_has_no_say(endpoint: Endpoint) -> None:
    nothing = dict.fromkeys(DEPTHS, 0.0)
    shallow, deep = (dream(endpoint, EXAMPLE, **{**nothing, depth: 1.0})[0] for depth in ("shallow", "deepest"))
    still, _ = dream(endpoint, EXAMPLE, **nothing)
    untouched, _ = dream(endpoint, EXAMPLE, steps=0)
    assert not np.array_equal(shallow, deep)
    np.testing.assert_array_equal(still, untouched)


@pytest.mark.parametrize(
    ("size", "asked", "dreamt"),
    [
        ((1, 1), 320, (112, 112)),
        ((600, 300), 240, (240, 120)),
        ((2000, 40), 512, (512, 112)),
        ((119, 150), 512, (119, 150)),
    ],
)
def test_a_picture_of_any_size_is_dreamt_on_within_limits(
    endpoint: Endpoint, size: tuple[int, int], asked: int, dreamt: tuple[int, int]
) -> None:
    pixels, excitement = dream(endpoint, photograph(*size), size=asked, steps=1)
    assert pixels.shape == (*dreamt, 3)
    assert np.isfinite(excitement)


def test_octaves_have_the_books_shapes(model: Any) -> None:
    seen: list[tuple[int, ...]] = []

    class Watched(Dreamer):
        def _climb(self, image: Any, photograph: Any, knobs: Knobs) -> tuple[Any, Any]:
            seen.append(tuple(photograph.shape[:2]))
            return image, tf.constant(1.0)

    knobs = Knobs(tf.constant(3), tf.constant(1.4), 0, 0.0, 1.0, 350, *WEIGHTS)
    Watched(model).dream(tf.zeros((350, 400, 3)), knobs)
    assert seen == [(178, 204), (250, 285), (350, 400)]


def test_knobs_beyond_the_card_are_bounded_in_the_graph(endpoint: Endpoint) -> None:
    pixels, excitement = dream(endpoint, EXAMPLE, octaves=3, octave_scale=0.01, steps=1, size=10**6)
    assert max(pixels.shape) <= 512 and np.isfinite(excitement)


@pytest.mark.parametrize("data", [b"", b"no picture", EXAMPLE[:200]])
def test_what_is_no_picture_is_refused(endpoint: Endpoint, data: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        dream(endpoint, data)


def test_weights_that_cannot_be_had_are_named() -> None:
    with pytest.raises(Unavailable, match="vgg16"):
        weights_of("vgg16", {"efficientnet_lite0/fc.weight": np.zeros(1)})


@pytest.mark.parametrize("network", ["efficientnet_lite0", "vgg16", "inception_v3"])
def test_the_smallest_dream_leaves_every_layer_something_to_see(network: str) -> None:
    pixels = keras.Input((SMALLEST, SMALLEST, 3))
    built = {
        "efficientnet_lite0": lambda: keras.Model(pixels, efficientnet_lite0(pixels)),
        "vgg16": lambda: keras.applications.VGG16(weights=None, include_top=False, input_tensor=pixels),
        "inception_v3": lambda: keras.applications.InceptionV3(weights=None, include_top=False, input_tensor=pixels),
    }[network]()
    sides = [min(built.get_layer(name).output.shape[1:3]) for name in LAYERS[network]]
    assert min(sides) > 2 * BORDER
