from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from plugins.contract import Array
from plugins.pictures import EXAMPLE, View, decode, orientation

DECODE = tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])
ORIENTATION = 0x0112  # EXIF's tag


def photograph(width: int = 40, height: int = 24, mode: str = "RGB") -> Image.Image:
    """Something soft: red grows to the right, green downwards."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return Image.fromarray((255 * np.stack([x, y, 0.5 + 0 * x], axis=-1)).astype(np.uint8)).convert(mode)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def turned(orientation: int, big_endian: bool = False) -> bytes:
    """A JPEG of the photograph as a camera held so would store it."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that undoes what the orientation asks for
    picture = photograph()
    stored = picture.transpose(Image.Transpose(back[orientation])) if orientation in back else picture
    exif = Image.Exif()
    exif.endian = ">" if big_endian else "<"
    exif[0x010F] = "a camera"
    exif[ORIENTATION] = orientation
    return encoded(stored, "JPEG", quality=95, exif=exif)


def pixels(content: bytes) -> Array:
    decoded: Array = DECODE(content).numpy()
    return decoded


def difference(one: Array, other: Array) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("told", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_says(told: int, big_endian: bool) -> None:
    content = turned(told, big_endian)
    assert int(orientation(content)) == told
    assert difference(pixels(content), np.asarray(photograph())) < 3


def test_an_orientation_counts_in_exif_only() -> None:
    looks_like = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06"
    content = encoded(photograph(), "JPEG", comment=looks_like)
    assert looks_like in content
    assert int(orientation(content)) == 1


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("1", "PNG")])
def test_grey_is_read_as_colour(mode: str, kind: str) -> None:
    grey = photograph(mode=mode)
    assert difference(pixels(encoded(grey, kind)), np.asarray(grey.convert("RGB"))) < 3


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("RGB", "JPEG")])
def test_colour_is_read_however_it_is_stored(mode: str, kind: str) -> None:
    stored = photograph(mode=mode)
    assert difference(pixels(encoded(stored, kind)), np.asarray(stored.convert("RGB"))) < 12


def test_what_is_transparent_is_white() -> None:
    picture = Image.new("RGBA", (4, 4), (10, 200, 30, 0))
    picture.putpixel((1, 2), (10, 200, 30, 255))
    picture.putpixel((3, 3), (0, 0, 0, 51))
    seen = pixels(encoded(picture))
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[2, 1].tolist() == [10, 200, 30]
    assert seen[3, 3].tolist() == [204, 204, 204]


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_of_an_animation_the_first_picture_counts(kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert pixels(content).shape == (6, 8, 3)
    assert pixels(content)[0, 0].tolist() == [250, 0, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_single_pixel_is_a_picture(kind: str) -> None:
    seen = View(side=5, share=0.875).read(tf.constant([encoded(Image.new("RGB", (1, 1), (200, 200, 200)), kind)]))
    assert np.abs(seen.numpy() - 200).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_breaks_off_is_refused(kind: str) -> None:
    content = encoded(photograph(200, 200), kind)
    with pytest.raises(tf.errors.InvalidArgumentError):
        pixels(content[: len(content) // 2])


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        pixels(b"a cat, I swear")


def test_a_network_sees_the_middle_square() -> None:
    picture = Image.new("RGB", (60, 20), (255, 0, 0))
    picture.paste((0, 0, 255), (20, 0, 40, 20))
    (seen,) = View(side=8).read(tf.constant([encoded(picture)])).numpy()
    np.testing.assert_allclose(seen, np.broadcast_to([0, 0, 255], (8, 8, 3)), atol=1)
    (seen,) = View(side=8, share=0.5).read(tf.constant([encoded(photograph(20, 20))])).numpy()
    assert 255 / 4 < seen[..., 0].min() < seen[..., 0].max() < 255 * 3 / 4


def test_a_square_that_fits_passes_unchanged() -> None:
    square = photograph(8, 8)
    (seen,) = View(side=8).read(tf.constant([encoded(square)])).numpy()
    np.testing.assert_array_equal(seen, np.asarray(square))


def test_the_example_is_a_picture() -> None:
    with Image.open(io.BytesIO(EXAMPLE)) as picture:
        assert picture.size == (128, 96)
