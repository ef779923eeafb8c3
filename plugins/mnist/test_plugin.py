import io
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, Samples
from plugins.explanations import Explained
from plugins.mnist.data import load
from plugins.mnist.model import MAPS, DigitsConfig, build
from plugins.mnist.plugin import EXAMPLE, PLUGIN, png
from plugins.mnist.raw import DigitView, read_digits

READ = tf.function(read_digits, input_signature=[tf.TensorSpec([None], tf.string)])


TURNED = Image.Exif()
TURNED[0x0112] = 6  # to be shown a quarter turn clockwise (EXIF 2.3, table 6)


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(1)
    return build(DigitsConfig(), "convnet", 100)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model, "classify", "serving_default", "explain")


def drawn(digit: int, height: int, ink: Any, paper: Any, mode: str = "L") -> Image.Image:
    """A digit in a font, off the middle of a picture that is not square."""
    picture = Image.new(mode, (height, height * 4 // 3), paper)
    font = ImageFont.load_default(height * 0.8)
    ImageDraw.Draw(picture).text((height * 0.05, height * 0.1), str(digit), ink, font)
    return picture


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def dusty(picture: Image.Image) -> Image.Image:
    """The same on paper with specks of dust in its corners."""
    pixels = np.asarray(picture).copy()
    side = max(1, len(pixels) // 100)
    for row, column in ((2, 2), (-8, 4), (5, -6)):
        pixels[row : row + side, column : column + side] = 0
    return Image.fromarray(pixels)


def seen(*pictures: bytes) -> Array:
    fields: Array = READ(np.array(pictures, object)).numpy()
    return fields


def likeness(one: Array, other: Array) -> float:
    """Correlation of two fields, 1 where they are the same picture; a pixel aside is no matter: rounding does that."""
    moved = [np.roll(one, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return max(float(np.corrcoef(field.ravel(), other.ravel())[0, 1]) for field in moved)


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [("dense", 407_050), ("convnet", 93_322), ("separable", 44_787), ("batch_normalised", 94_218)],
)
def test_the_networks_are_the_books(variant: str, parameters: int) -> None:
    assert build(DigitsConfig(), variant, 100).count_params() == parameters


def test_separable_convolutions_answer_as_finely_with_a_fraction_of_the_parameters() -> None:
    plain, separable = (
        [build(DigitsConfig(), variant, 100).get_layer(name) for name in MAPS] for variant in ("convnet", "separable")
    )
    assert [layer.output.shape for layer in separable] == [layer.output.shape for layer in plain]
    assert [layer.count_params() for layer in plain] == [320, 18_496, 36_928]
    assert [layer.count_params() for layer in separable] == [73, 2_400, 4_736]


def test_batch_normalisation_follows_every_hidden_layer_and_not_the_answer() -> None:
    model = build(DigitsConfig(), "batch_normalised", 100)
    names = [type(layer).__name__ for layer in model.layers]
    after = [names[number + 1] for number, name in enumerate(names[:-1]) if name in ("Conv2D", "Dense")]
    assert after == ["BatchNormalization"] * 4 + ["Softmax"]
    statistics = [int(np.prod(weights.shape)) for weights in model.non_trainable_weights]
    assert sum(statistics) == 2 * (32 + 64 + 64 + 64)


def test_what_is_28_by_28_and_light_on_dark_passes_unchanged() -> None:
    random = np.random.default_rng(0)
    digit = np.zeros((28, 28), np.uint8)
    digit[3:9, 1:20] = random.integers(0, 256, (6, 19))
    colour = Image.fromarray(np.stack([digit] * 3, axis=-1))
    fields = seen(png(digit), encoded(colour))
    np.testing.assert_array_equal(fields, [digit, digit])


def test_what_is_28_by_28_on_grey_paper_is_put_on_black() -> None:
    picture = np.full((28, 28), 120, np.uint8)
    picture[4:24, 13:15] = 250
    (field,) = seen(png(picture))
    assert (field[0].max(), field.max()) == (0, 255)


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_looks_the_same_however_it_was_sent(digit: int) -> None:
    plain = seen(encoded(drawn(digit, 90, 255, 0)))[0]
    others = {
        "large": encoded(drawn(digit, 400, 255, 0)),
        "small": encoded(drawn(digit, 44, 255, 0)),
        "dark on light": encoded(drawn(digit, 120, 0, 255)),
        "light grey on grey": encoded(drawn(digit, 90, 200, 120)),
        "dark grey on grey": encoded(drawn(digit, 90, 60, 130)),
        "jpeg": encoded(drawn(digit, 200, 20, 240), "JPEG"),
        "dust on the paper": encoded(dusty(drawn(digit, 200, 40, 250))),
        "red on white": encoded(drawn(digit, 90, (200, 20, 20), (255, 255, 255), "RGB")),
        "dark ink on nothing": encoded(drawn(digit, 90, (20, 20, 60, 255), (0, 0, 0, 0), "RGBA")),
        "light ink on nothing": encoded(drawn(digit, 90, (250, 250, 210, 255), (255, 255, 255, 0), "RGBA")),
        "grey with alpha": encoded(drawn(digit, 90, (0, 255), (255, 255), "LA")),
        "stored on its side": encoded(
            drawn(digit, 120, 0, 255).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=TURNED
        ),
        "for the press": encoded(drawn(digit, 120, 20, 240).convert("CMYK"), "JPEG"),
        "a palette": encoded(drawn(digit, 90, 0, 255).convert("P")),
        "noisy": encoded(noisy(drawn(digit, 150, 30, 160), 8)),
    }
    for field, (how, _) in zip(seen(*others.values()), others.items(), strict=True):
        assert likeness(field, plain) > 0.85, how


def noisy(picture: Image.Image, deviation: float) -> Image.Image:
    levels = np.asarray(picture) + np.random.default_rng(0).normal(0, deviation, picture.size[::-1])
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def test_a_digit_fills_20_pixels_and_its_centre_of_mass_is_in_the_middle() -> None:
    for field in seen(*(encoded(drawn(digit, 150, 0, 255)) for digit in range(10))):
        rows, columns = np.nonzero(field)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        centre = [np.average(np.arange(28), weights=field.sum(axis=axis)) for axis in (1, 0)]
        assert np.abs(np.array(centre) - 14).max() <= 0.5
        assert field.max() == 255


def test_a_blank_picture_is_an_empty_field() -> None:
    assert not seen(encoded(Image.new("L", (50, 40), 200))).any()


def test_a_picture_of_one_pixel_is_read() -> None:
    assert seen(encoded(Image.new("L", (1, 1), 7))).shape == (1, 28, 28)


def test_a_picture_and_its_pixels_get_the_same_scores(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    digits = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    digits[:, [0, -1]] = digits[:, :, [0, -1]] = 0
    from_pictures = endpoints["classify"](image_bytes=np.array([png(digit) for digit in digits], object))["scores"]
    from_pixels = endpoints["serving_default"](pixels=digits.astype(np.float32))["scores"]
    np.testing.assert_array_equal(from_pictures, from_pixels)
    np.testing.assert_allclose(from_pixels, model.predict(digits, verbose=0), atol=1e-6)
    np.testing.assert_allclose(from_pixels.sum(axis=1), 1, rtol=1e-5)


def test_the_examples_are_answered(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    signatures = PLUGIN.signatures(model)
    for name in ("classify", "serving_default"):
        (field,) = signatures[name].inputs
        row = np.array([signatures[name].example[field.name]], object if field.dtype == "string" else field.dtype)
        assert endpoints[name](**{field.name: row})["scores"].shape == (1, 10)


def test_the_reasons_for_a_digit_are_shown_on_what_was_read_of_the_picture(endpoints: Mapping[str, Endpoint]) -> None:
    sent = encoded(drawn(4, 300, 0, 255))
    asked = {"image_bytes": np.array([sent], object), "target": np.array([4], np.int32)}
    answer = endpoints["explain"](**asked, alpha=np.array([0], np.float32))
    shown = np.asarray(Image.open(io.BytesIO(answer["image_bytes"][0])))
    assert shown.shape == (224, 224, 3)
    np.testing.assert_allclose(shown[4::8, 4::8, 0], seen(sent)[0], atol=1)
    assert answer["heatmap"].shape == (1, 3, 3)


def test_the_dense_network_explains_itself_by_pixels_and_has_no_maps_to_show() -> None:
    model = build(DigitsConfig(), "dense", 100)
    assert list(PLUGIN.signatures(model)) == ["classify", "serving_default", "explain"]
    pixels = tf.random.stateless_uniform((2, 28, 28), (1, 1), maxval=255)
    heat = Explained(model, DigitView(), ()).heat(pixels, tf.constant([-1, 3])).numpy()
    assert heat.shape == pixels.shape
    # Pixels that speak for the digit, made lighter, raise its score; so do those that speak against it, made darker.
    lighter = model(pixels + 20 * (heat > 0.2)).numpy()
    assert lighter[1, 3] > model(pixels).numpy()[1, 3]


def test_requests_are_pictures_of_the_samples() -> None:
    samples = Samples(np.stack([EXAMPLE, EXAMPLE.T]), np.array([1, 1]))
    sent = [request["image_bytes"] for request in PLUGIN.requests(samples)]
    np.testing.assert_array_equal(seen(*sent), samples.inputs)


def test_a_person_sees_dark_ink_on_light_paper() -> None:
    with Image.open(io.BytesIO(PLUGIN.show(EXAMPLE))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), 255 - EXAMPLE)


@pytest.fixture(scope="module")
def real(mirror: Folder) -> Data:
    return load(mirror)


def test_the_baseline_is_the_most_frequent_digit(real: Data) -> None:
    assert (len(real.train), len(real.test)) == (60_000, 10_000)
    assert PLUGIN.baseline(real) == {"accuracy": 0.1135}


def test_real_digits_survive_being_enlarged_and_inverted(real: Data) -> None:
    digits = real.test.inputs[:50]
    large = [encoded(Image.fromarray(255 - digit).resize((140, 140), Image.Resampling.BICUBIC)) for digit in digits]
    alike = [likeness(field, digit) for field, digit in zip(seen(*large), digits, strict=True)]
    assert np.mean(alike) > 0.9
