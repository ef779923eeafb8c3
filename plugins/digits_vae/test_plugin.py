import io
from collections.abc import Mapping

import keras
import numpy as np
import pytest
from PIL import Image

from plugins.autoencoder import VariationalAutoencoder, mean_picture_nats
from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, Samples
from plugins.digits_vae.data import load
from plugins.digits_vae.model import VaeConfig, build
from plugins.digits_vae.plugin import EXAMPLE, PLUGIN
from plugins.panels import png


@pytest.fixture(scope="module")
def model() -> VariationalAutoencoder:
    """Weights large enough that the plane has all greys, and that last bits of a convolution flip some of them."""
    keras.utils.set_random_seed(3)
    model = build(VaeConfig())
    model.decoder.set_weights([weight * 20 for weight in model.decoder.get_weights()])
    return model


@pytest.fixture(scope="module")
def endpoints(model: VariationalAutoencoder, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


def pixels(picture: bytes) -> Array:
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int32)


def points(*rows: tuple[float, float]) -> Array:
    return np.array(rows, np.float32)


def test_a_seed_gives_the_same_bytes_alone_and_among_511_others(endpoints: Mapping[str, Endpoint]) -> None:
    # Decoding the rows together changes two of these pictures.
    crowd = endpoints["generate"](seed=np.arange(512), scale=np.ones(512, np.int32))["image_bytes"]
    assert len(set(crowd)) > 500
    for seed, picture in enumerate(crowd):
        assert endpoints["generate"](seed=np.array([seed]), scale=whole(1))["image_bytes"][0] == picture


def test_each_row_has_its_own_scale(endpoints: Mapping[str, Endpoint]) -> None:
    latent = points((0.5, -0.5), (0.5, -0.5), (0.5, -0.5))
    small, large, clipped = map(pixels, endpoints["decode"](latent=latent, scale=whole(1, 3, 99))["image_bytes"])
    assert (small.shape, large.shape, clipped.shape) == ((28, 28), (84, 84), (448, 448))
    np.testing.assert_array_equal(large, small.repeat(3, axis=0).repeat(3, axis=1))


def test_the_sheet_is_the_decoder_at_the_books_coordinates(
    model: VariationalAutoencoder, endpoints: Mapping[str, Endpoint]
) -> None:
    sheet, small = map(pixels, endpoints["sheet"](n=whole(15, 2))["image_bytes"])
    assert (sheet.shape, small.shape) == ((420, 420), (56, 56))
    line = [-1.6449, -1.2040, -0.9208, -0.6971, -0.5040, -0.3281, -0.1618, 0]
    for row, column in ((0, 0), (0, 7), (7, 3), (7, 7)):
        expected = np.asarray(model.decoder(points((line[row], line[column]))))[0, :, :, 0] * 255
        digit = sheet[row * 28 : row * 28 + 28, column * 28 : column * 28 + 28]
        np.testing.assert_allclose(digit, expected, atol=0.6)


def test_frames_run_from_one_end_to_the_other_and_rows_may_differ_in_steps(endpoints: Mapping[str, Endpoint]) -> None:
    ends = points((-1, 0), (0, 2)), points((1, 0), (0, -2))
    frames = endpoints["interpolate"](from_latent=ends[0], to_latent=ends[1], steps=whole(3, 5), scale=whole(1, 1))
    pictures = frames["image_bytes"]
    assert [[bool(picture) for picture in row] for row in pictures] == [[True] * 3 + [False] * 2, [True] * 5]
    for latent, picture in ((ends[0], pictures[:, 0]), (ends[1], [pictures[0, 2], pictures[1, 4]])):
        np.testing.assert_array_equal(endpoints["decode"](latent=latent, scale=whole(1, 1))["image_bytes"], picture)


def test_a_picture_is_encoded_alike_as_png_or_large_jpeg_light_or_dark(
    model: VariationalAutoencoder, endpoints: Mapping[str, Endpoint]
) -> None:
    large = Image.fromarray(EXAMPLE).resize((280, 280), Image.Resampling.NEAREST)
    jpeg = io.BytesIO()
    large.convert("RGB").save(jpeg, "JPEG", quality=95)
    pictures = np.array([png(EXAMPLE), jpeg.getvalue(), png(255 - EXAMPLE)], object)
    answer = endpoints["encode"](image_bytes=pictures)
    z_mean, z_log_var = model.encoder(EXAMPLE[np.newaxis, ..., np.newaxis].astype(np.float32) / 255)
    np.testing.assert_allclose(answer["z_mean"], np.repeat(z_mean, 3, axis=0), atol=2e-2)
    np.testing.assert_allclose(answer["z_log_var"], np.repeat(z_log_var, 3, axis=0), atol=2e-2)


def test_the_networks_have_the_books_parameter_counts() -> None:
    model = build(VaeConfig())
    assert (model.encoder.count_params(), model.decoder.count_params()) == (494_244, 56_385)


def test_the_loss_is_reconstruction_plus_weighted_kl() -> None:
    model = build(VaeConfig(kl_weight=0.5))
    images = np.zeros((2, 28, 28), np.uint8)
    z_mean, z_log_var = np.array([[1.0, 0.0], [0, 0]], np.float32), np.zeros((2, 2), np.float32)
    halves = np.full((2, 28, 28, 1), 0.5, np.float32)
    loss = model.compute_loss(x=images, y_pred=(z_mean, z_log_var, halves))
    reconstruction, kl = 784 * np.log(2), (0.5 + 0) / 2  # KL(N(m, 1) || N(0, 1)) = m^2 / 2
    assert float(loss) == pytest.approx(reconstruction + 0.5 * kl, rel=1e-5)
    assert float(model.negative_elbo.result()) == pytest.approx(reconstruction + kl, rel=1e-5)


def test_points_are_drawn_with_the_deviation_that_the_kl_term_means() -> None:
    model = build(VaeConfig())
    drawn: list[Array] = []
    model.encoder = lambda images: (np.zeros((4000, 2), np.float32), np.full((4000, 2), np.log(9.0), np.float32))
    model.decoder = lambda z: drawn.append(np.asarray(z))
    model.call(np.zeros((4000, 28, 28), np.uint8))
    assert drawn[0].std() == pytest.approx(3, rel=0.05)


def strokes(count: int) -> Samples:
    """Upright or level strokes: two kinds of picture, the simplest plane to learn."""
    kinds = np.random.default_rng(0).integers(0, 2, count)
    return Samples(np.where(kinds[:, None, None] > 0, EXAMPLE, EXAMPLE.T).astype(np.uint8), kinds)


def test_training_brings_the_elbo_below_the_baseline_and_every_figure_is_drawn() -> None:
    data = Data(strokes(512), strokes(64))
    keras.utils.set_random_seed(1)
    config = VaeConfig()
    model = PLUGIN.build_model(config, "convnet", data.train)
    model.fit(data.train.inputs, data.train.targets, batch_size=32, epochs=3, verbose=0)
    assert PLUGIN.evaluate(model, data.test, config)["negative_elbo"] < PLUGIN.baseline(data)["negative_elbo"]
    sizes = {figure.name: Image.open(io.BytesIO(figure.png)).size for figure in PLUGIN.figures(model, data, config)}
    assert sizes == {"sheet": (420, 420), "latent": (720, 748), "reconstructions": (420, 224)}


def test_the_baseline_knows_only_how_often_each_pixel_is_light() -> None:
    train = np.zeros((4, 28, 28), np.uint8)
    train[:2] = 255
    assert mean_picture_nats(train, train[:1]) == pytest.approx(784 * np.log(2))


def test_mnist_is_whole(mirror: Folder) -> None:
    data = load(mirror)
    assert (data.train.inputs.shape, data.test.inputs.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert 200 < PLUGIN.baseline(data)["negative_elbo"] < 210
