import io
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from plugins.clock.data import (
    LABELS,
    LENGTHS,
    SIDE,
    TIMES,
    Clocks,
    angles_of,
    draw,
    invent,
    load,
    measured_angles,
    tips_of,
)
from plugins.clock.model import ClockConfig, build, minutes_off
from plugins.clock.plugin import PLUGIN, png
from plugins.conftest import Serve
from plugins.contract import Array, Samples, Untrained


def clocks_at(*times: int) -> Clocks:
    """Clocks of 28 pixels around the pixel (32, 32), black on white."""
    count = len(times)
    return Clocks(
        np.array(times),
        np.full((count, 2), SIDE // 2),
        np.full(count, 28, np.float32),
        np.tile(np.array([255, 0], np.float32), (count, 1)),
    )


def minutes(text: str) -> int:
    return LABELS.index(text)


def built(variant: str) -> Any:
    keras.utils.set_random_seed(1)
    return build(ClockConfig(), variant, 100)


def test_times_are_written_as_people_write_them() -> None:
    assert (LABELS[0], LABELS[59], LABELS[60], LABELS[-1]) == ("12:00", "12:59", "1:00", "11:59")
    assert len(set(LABELS)) == TIMES


@pytest.mark.parametrize(
    ("time", "angles"), [("12:00", (0, 0)), ("3:00", (90, 0)), ("6:30", (195, 180)), ("11:59", (359.5, 354))]
)
def test_hands_point_where_they_do_on_a_clock(time: str, angles: tuple[float, float]) -> None:
    assert angles_of(np.array([minutes(time)])).tolist() == [list(angles)]


def test_tips_lie_to_the_right_at_three_and_below_at_six() -> None:
    tips = tips_of(clocks_at(minutes("3:00"), minutes("6:30")))
    np.testing.assert_allclose(tips[0], [LENGTHS[0], 0, 0, LENGTHS[1]], atol=0.02)
    np.testing.assert_allclose(tips[1, 2:], [0, -LENGTHS[1]], atol=0.02)


def test_tips_are_read_to_the_pixel_and_angles_from_tips() -> None:
    clocks = invent(500, 3)
    tips = tips_of(clocks)
    pixels = tips * clocks.radii[:, None]
    np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-4)
    apart = (measured_angles(tips) - angles_of(clocks.times) + 180) % 360 - 180
    assert 0 < np.abs(apart[:, 1]).max() < 3  # degrees: less than half a minute of the minute hand


def test_the_picture_has_ink_along_the_hands_and_paper_beside_them() -> None:
    (picture,) = draw(clocks_at(minutes("3:00")))
    middle = SIDE // 2
    assert picture[middle, middle + 12] == 0  # the hour hand, to the right
    assert picture[middle - 20, middle] == 0  # the minute hand, up
    assert picture[middle, middle - 12] == picture[middle + 20, middle] == 255
    assert picture[middle, middle + 28] < 255 and picture[middle, middle - 28] < 255  # the rim


def test_the_same_seed_draws_the_same_clocks_and_no_test_clock_is_learned_from() -> None:
    np.testing.assert_array_equal(draw(invent(3, 5)), draw(invent(3, 5)))
    train, test = load("angles"), load("hand_tips")
    np.testing.assert_array_equal(train.train.targets, test.train.targets)
    assert not np.array_equal(invent(10, 1).times, invent(10, 2).times)


def test_angles_need_no_learning() -> None:
    test = load("angles").test
    model = built("angles")
    assert model.count_params() == 0
    assert isinstance(PLUGIN.variants["angles"].protocol, Untrained)
    assert (model.predict(test.inputs, verbose=0).argmax(axis=1) == test.targets).mean() == 1


@pytest.mark.parametrize(("variant", "parameters"), [("pixels", 286_020), ("hand_tips", 292), ("angles", 0)])
def test_the_variants_say_how_large_they_are(variant: str, parameters: int) -> None:
    assert built(variant).count_params() == parameters
    assert f"{parameters:,}" in PLUGIN.variants[variant].summary or not parameters


def test_the_error_goes_the_shorter_way_round() -> None:
    chances = np.eye(TIMES, dtype=np.float32)[[minutes("11:58"), minutes("12:01"), minutes("6:00")]]
    truth = np.array([minutes("12:01"), minutes("12:01"), minutes("12:00")])
    assert minutes_off(truth, chances).numpy().tolist() == [3, 0, 360]


def test_angles_in_degrees_get_the_time(serve: Serve) -> None:
    classify = serve(PLUGIN, built("angles"))["classify"]
    hour, minute = np.array([305, 97.5, 0.0], np.float32), np.array([60, 90, 0.0], np.float32)
    answered = classify(hour_angle=hour, minute_angle=minute)["scores"].argmax(axis=1)
    assert [LABELS[time] for time in answered] == ["10:10", "3:15", "12:00"]


def test_a_large_coloured_picture_is_seen_as_a_small_grey_one(serve: Serve) -> None:
    model = built("pixels")
    (pixels,) = draw(clocks_at(minutes("10:10")))
    large = Image.fromarray(pixels).convert("RGB").resize((320, 320), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    large.save(encoded, "JPEG")
    classify = serve(PLUGIN, model, "classify")["classify"]
    scores = classify(image_bytes=np.array([png(pixels), encoded.getvalue()], object))["scores"]
    np.testing.assert_allclose(scores[0], model.predict(pixels[None], verbose=0)[0], atol=1e-5)
    assert abs(int(scores[0].argmax()) - int(scores[1].argmax())) < 60


@pytest.mark.parametrize("variant", ["hand_tips", "angles"])
def test_requests_name_the_numbers_and_people_see_them(variant: str) -> None:
    inputs: Array = load(variant).test.inputs[:2]
    first, _ = PLUGIN.requests(Samples(inputs, np.zeros(2)))
    np.testing.assert_allclose(list(first.values()), inputs[0], rtol=1e-6)
    (signature,) = PLUGIN.signatures(built(variant)).values()
    assert list(first) == [field.name for field in signature.inputs] == list(signature.example)
    assert str(PLUGIN.show(inputs[0])).startswith(f"{signature.inputs[0].name} ")
