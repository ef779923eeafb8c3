from collections.abc import Mapping
from io import BytesIO
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Data
from plugins.siamese_stereo.data import (
    NOISE,
    TEST_PHOTOS,
    TRAIN_PHOTOS,
    VALIDATION_PHOTOS,
    depth_of,
    load,
    samples_of,
)
from plugins.siamese_stereo.model import BestMove, Difference, StereoConfig, build
from plugins.siamese_stereo.plugin import PLUGIN, example, png

RANDOM = np.random.default_rng(0)
NOISY = [RANDOM.integers(0, 256, (300, 400, 3)).astype(np.uint8)]
SIDES = ("left", "right")


@pytest.fixture(scope="module", params=["correlated", "concatenated"])
def model(request: pytest.FixtureRequest) -> Any:
    keras.utils.set_random_seed(1)
    return build(StereoConfig(), request.param, 100)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


def see(endpoints: Mapping[str, Endpoint], **pictures: bytes) -> float:
    return float(endpoints["regress"](**{side: np.array([pictures[side]], object) for side in SIDES})["values"][0, 0])


def encoded(picture: Image.Image, kind: str) -> bytes:
    content = BytesIO()
    picture.save(content, kind, quality=95)
    return content.getvalue()


def test_a_thing_is_as_many_pixels_further_left_as_its_distance_says() -> None:
    pairs = samples_of(NOISY, 40, seed=1)
    disparities = depth_of(pairs.targets)
    assert disparities.min() >= 0.99 and disparities.max() <= 16.01
    whole = np.flatnonzero(np.isclose(disparities, disparities.round(), atol=1e-3))
    for row in whole:
        move = int(disparities[row].round())
        left, right = (pairs.inputs[side][row].astype(float) for side in SIDES)
        here = np.corrcoef(left[:, move:].ravel(), right[:, : 64 - move].ravel())[0, 1]
        beside = np.corrcoef(left[:, move + 1 :].ravel(), right[:, : 63 - move].ravel())[0, 1]
        assert here > 0.95 > 0.3 > beside
    assert len(whole) > 3


def test_depth_is_focal_length_times_base_line_by_disparity() -> None:
    np.testing.assert_allclose(depth_of(np.array([1.0, 16.0])), [3.84, 0.24])


def test_the_same_seed_makes_the_same_pairs() -> None:
    one, same, other = (samples_of(NOISY, 5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.inputs["left"], same.inputs["left"])
    assert not np.array_equal(one.inputs["left"], other.inputs["left"])


def test_blank_pieces_are_left_out() -> None:
    half = np.zeros((300, 400, 3), np.uint8)
    half[:, 300:] = NOISY[0][:, :100]
    left = samples_of([half], 20, seed=1).inputs["left"].astype(float)
    assert (left.std(axis=(1, 2, 3)) > 2 * NOISE).all()


def test_the_least_difference_is_where_the_pictures_fit() -> None:
    scene = RANDOM.normal(size=(1, 64, 80, 4)).astype(np.float32)
    for move in (0, 5, 16):
        differences = Difference()(scene[:, :, :64], scene[:, :, move : move + 64]).numpy()[0]
        assert differences.argmin() == move
        assert differences.min() == pytest.approx(0, abs=1e-4)
        beside = (scene[:, :, move + 1 : 64] - scene[:, :, move:63]) ** 2
        assert move == 16 or differences[move + 1] == pytest.approx(beside.mean(), rel=1e-3)


def test_the_best_move_may_be_a_part_of_a_pixel() -> None:
    differences = np.full((1, 18), 5.0, np.float32)
    differences[0, 3:5] = 0.1
    assert float(BestMove()(differences)[0, 0]) == pytest.approx(3.5, abs=1e-3)


def test_the_correlated_network_tells_distances_of_other_pictures() -> None:
    keras.utils.set_random_seed(1)
    pairs = samples_of(NOISY, 64, seed=1)
    model = build(StereoConfig(epochs=1, batch_size=16), "correlated", len(pairs))
    model.fit(pairs.in_order(16), shuffle=False, verbose=0)
    unseen = samples_of([RANDOM.integers(0, 256, (300, 400, 3)).astype(np.uint8)], 64, seed=2)
    error = np.abs(model.predict(unseen.inputs, verbose=0)[:, 0] - unseen.targets).mean()
    assert error < 0.3 * np.abs(unseen.targets - np.median(pairs.targets)).mean()


def test_pictures_and_their_pixels_get_the_same_distance(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    pairs = samples_of(NOISY, 4, seed=3)
    sent = list(PLUGIN.requests(pairs))
    from_pictures = endpoints["regress"](**{side: np.array([one[side] for one in sent], object) for side in SIDES})
    pixels = {f"{side}_pixels": column.astype(np.float32) for side, column in pairs.inputs.items()}
    np.testing.assert_allclose(from_pictures["values"], endpoints["serving_default"](**pixels)["values"], rtol=1e-5)
    np.testing.assert_allclose(from_pictures["values"], model.predict(pairs.inputs, verbose=0), rtol=1e-4)


def test_size_and_kind_of_a_picture_matter_little(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    scene = {side: Image.fromarray(pixels) for side, pixels in example().items()}
    plain = see(endpoints, **{side: png(np.asarray(picture)) for side, picture in scene.items()})
    large = {side: picture.resize((640, 480), Image.Resampling.BICUBIC) for side, picture in scene.items()}
    for kind in ("PNG", "JPEG"):
        seen = see(endpoints, **{side: encoded(picture, kind) for side, picture in large.items()})
        assert seen == pytest.approx(plain, rel=0.2)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_pictures_of_every_mode_are_read(endpoints: Mapping[str, Endpoint], mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    seen = {side: encoded(Image.fromarray(pixels).convert(mode), kind) for side, pixels in example().items()}
    assert 0.24 <= see(endpoints, **seen) <= 3.85


def test_pictures_that_show_nothing_get_an_answer_within_reach(endpoints: Mapping[str, Endpoint]) -> None:
    for size in (1, 64):
        blank = encoded(Image.new("RGB", (size, size), "grey"), "PNG")
        assert 0.24 <= see(endpoints, left=blank, right=blank) <= 3.85


def test_a_person_sees_both_pictures() -> None:
    with Image.open(BytesIO(PLUGIN.show(example()))) as picture:
        assert picture.size == (128, 64)


@pytest.fixture(scope="module")
def real(mirror: Folder) -> Data:
    return load(mirror)


def test_each_part_has_photographs_of_its_own(real: Data) -> None:
    files = [photo.file for photo in (*TRAIN_PHOTOS, *VALIDATION_PHOTOS, *TEST_PHOTOS)]
    assert len(set(files)) == len(files) == 7
    assert (len(real.train), len(real.test)) == (2300, 1000)


def test_the_baseline_is_the_median_distance(real: Data) -> None:
    assert PLUGIN.baseline(real)["mae"] == pytest.approx(
        float(np.abs(real.test.targets - np.median(real.train.targets)).mean())
    )
