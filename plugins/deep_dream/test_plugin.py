from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Unavailable
from plugins.deep_dream.dream import BORDER, MOST_WORK, NUMBERS, SMALLEST, STATES, Dreamer, Knobs, Moment, example_state
from plugins.deep_dream.model import LAYERS
from plugins.deep_dream.plugin import DEPTHS, PLUGIN, QUICK, WEIGHTS
from plugins.efficientnet import efficientnet_lite0
from plugins.pictures import EXAMPLE
from plugins.slices import packed, packed_numbers
from plugins.weights import weights_of

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
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


@pytest.fixture(scope="module")
def endpoint(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    return endpoints["generate"]


def columns(rows: int, **knobs: Any) -> Mapping[str, Array]:
    types = {name: np.int32 if isinstance(value, int) else np.float32 for name, value in KNOBS.items()}
    return {name: np.full(rows, value, types[name]) for name, value in {**KNOBS, **knobs}.items()}


def pixels_of(png: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(png)))


def dream(endpoint: Endpoint, picture: bytes, **knobs: Any) -> tuple[Array, float]:
    """The dream's pixels, and its excitement."""
    answer = endpoint(image_bytes=np.array([picture], object), **columns(1, **knobs))
    return pixels_of(answer["image_bytes"][0]), float(answer["excitement"][0])


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
        def _end_of_octave(self, moment: Moment, photograph: Any, knobs: Knobs) -> Moment:
            seen.append(tuple(moment.image.shape[:2]))
            return super()._end_of_octave(moment, photograph, knobs)

    knobs = Knobs(tf.constant(3), tf.constant(1.4), 0, 0.0, 1.0, 350, *WEIGHTS)
    Watched(model).dream(tf.zeros((350, 400, 3)), knobs, MOST_WORK)
    assert seen == [(178, 204), (250, 285), (350, 400)]


def in_slices(endpoints: Mapping[str, Endpoint], pictures: Sequence[bytes], work: int, **knobs: Any) -> Any:
    """Answers of `start` and `continue`, until all of the pictures are whole."""
    rows = len(pictures)
    done = {"work": np.full(rows, work, np.int32)}
    answer = endpoints["start"](image_bytes=np.array(pictures, object), **columns(rows, **knobs), **done)
    yield answer
    while answer["progress"].min() < 1:
        answer = endpoints["continue"](**done, **{name: answer[name] for name in STATES})
        yield answer


@pytest.mark.parametrize("work", [1, 4, 100])
def test_slices_of_any_length_add_up_to_the_same_dream_also_beside_one_of_another_size(
    endpoints: Mapping[str, Endpoint], work: int
) -> None:
    pictures = [photograph(112, 150), photograph(170, 120)]
    knobs = {"octaves": 3, "step_size": 0.001, "max_excitement": 1000.0}
    whole = [dream(endpoints["generate"], picture, **knobs) for picture in pictures]
    slices = list(in_slices(endpoints, pictures, work, **knobs))
    assert len(slices) == max(1, -(-3 * (QUICK["steps"] + 1) // work))
    assert all(np.diff([answer["progress"] for answer in slices], axis=0).flat >= np.zeros(1))
    for row, (pixels, excitement) in enumerate(whole):
        np.testing.assert_array_equal(pixels_of(slices[-1]["image_bytes"][row]), pixels)
        assert slices[-1]["excitement"][row] == excitement


def test_each_slice_shows_the_dream_at_the_size_it_has_so_far(endpoints: Mapping[str, Endpoint]) -> None:
    sizes = [
        pixels_of(answer["image_bytes"][0]).shape
        for answer in in_slices(endpoints, [photograph(224, 224)], 4, size=224)
    ]
    assert sizes == [(224, 224, 3), (224, 224, 3)]  # after its last step an octave is enlarged to the next
    first = next(in_slices(endpoints, [photograph(224, 224)], 1, size=224))
    assert pixels_of(first["image_bytes"][0]).shape == (160, 160, 3)


BOMB = tf.compat.v1.make_tensor_proto(1.0, shape=(6000, 6000, 3)).SerializeToString()  # 24 bytes


@pytest.mark.parametrize(
    "broken",
    [
        {"state_image": b"no tensor"},
        {"state_image": BOMB},
        {"state_image": packed(tf.zeros((1, 600, 3))).numpy()},
        {"state_image": packed(tf.zeros((9, 9, 3))).numpy()[-60:]},
        {"state_photograph": packed(tf.zeros((0, 1, 3))).numpy()},
        {"state_numbers": b""},
        {"state_numbers": packed_numbers(tf.fill((30,), float("nan"))).numpy()},
    ],
)
def test_a_state_that_is_none_is_refused(endpoints: Mapping[str, Endpoint], broken: Mapping[str, bytes]) -> None:
    states = {name: np.array([state], object) for name, state in {**example_state(), **broken}.items()}
    with pytest.raises(tf.errors.InvalidArgumentError):
        endpoints["continue"](work=np.array([1], np.int32), **states)


@pytest.mark.parametrize("number", [-1e9, 1e9])
def test_a_state_that_cannot_be_ends_all_the_same(endpoints: Mapping[str, Endpoint], number: float) -> None:
    numbers = packed_numbers(tf.fill((NUMBERS,), number)).numpy()
    states = {**example_state(), "state_numbers": numbers}
    answer: Mapping[str, Array] = {name: np.array([one], object) for name, one in states.items()}
    for _ in range(9):
        asked = {name: answer[name] for name in STATES}
        answer = endpoints["continue"](work=np.array([MOST_WORK], np.int32), **asked)
        if answer["progress"][0] == 1:
            return
    raise AssertionError(f"it has no end: {answer['progress']}")


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
