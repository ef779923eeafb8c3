import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from plugins.cifar10.data import SUBSET, load, subset
from plugins.cifar10.model import NETWORKS, PhotographsConfig, build, module, shortcut
from plugins.cifar10.plugin import PLUGIN, png
from plugins.cifar10_files import BATCHES, LABELS, read_binary, read_pictures
from plugins.conftest import Folder, Serve
from plugins.contract import Array, Data, Samples

PER_BATCH = 20


def built(variant: str) -> Any:
    keras.utils.set_random_seed(1)
    return build(PhotographsConfig(), variant, 100)


def test_all_variants_have_about_as_many_parameters() -> None:
    counts = {variant: built(variant).count_params() for variant in NETWORKS}
    assert set(counts) == set(PLUGIN.variants)
    assert max(counts.values()) < 1.06 * min(counts.values())
    assert all(f"{count:,}" in PLUGIN.variants[variant].summary for variant, count in counts.items())


def test_all_variants_are_trained_alike() -> None:
    assert all(not variant.settings and variant.protocol is None for variant in PLUGIN.variants.values())


@pytest.mark.parametrize("side", [16, 15])
def test_branches_of_a_module_fit_together_on_even_and_odd_sizes(side: int) -> None:
    assert module(keras.Input((side, side, 3)), 5).shape == (None, 8, 8, 20)


@pytest.mark.parametrize("side", [16, 15])
def test_a_shortcut_shrinks_as_what_it_goes_past(side: int) -> None:
    pixels = keras.Input((side, side, 3))
    pooled = layers.MaxPooling2D(2, strides=2, padding="same")(pixels)
    assert shortcut(pixels, 3).shape == pooled.shape


def test_the_residual_network_is_the_plain_one_with_both_forms_of_shortcut() -> None:
    plain, residual = built("plain"), built("residual")
    extra = residual.count_params() - plain.count_params()
    assert extra == (24 * 32 + 32) + (32 * 64 + 64)  # two 1 x 1 convolutions; the shortcut as it is costs nothing
    assert sum(isinstance(layer, layers.Add) for layer in residual.layers) == 3


def test_photographs_are_changed_by_chance_in_training_only() -> None:
    model = built("plain")
    changing = keras.Model(model.input, model.layers[3].output)
    photograph = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    np.testing.assert_allclose(changing(photograph, training=False), photograph / 127.5 - 1, rtol=1e-5, atol=1e-6)
    assert not np.allclose(changing(photograph, training=True), photograph / 127.5 - 1)


def test_a_photograph_of_any_size_is_seen_small(serve: Serve) -> None:
    model = built("residual")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    large = io.BytesIO()
    Image.fromarray(pixels).resize((320, 320), Image.Resampling.NEAREST).save(large, "PNG")
    endpoints = serve(PLUGIN, model, "classify", "serving_default")
    pictures = np.array([png(pixels), large.getvalue()], object)
    as_pictures = endpoints["classify"](image_bytes=pictures)["scores"]
    as_pixels = endpoints["serving_default"](pixels=pixels[None].astype(np.float32))["scores"]
    np.testing.assert_allclose(as_pictures[0], as_pixels[0], atol=1e-6)
    np.testing.assert_allclose(as_pictures[1], as_pixels[0], atol=0.05)


def test_requests_are_the_photographs_themselves() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    (request,) = PLUGIN.requests(Samples(pixels, np.zeros(1)))
    with Image.open(io.BytesIO(request["image_bytes"])) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels[0])


@pytest.fixture(scope="module")
def photographs() -> Mapping[str, Array]:
    """A few of each batch, as the arrays must come out."""
    random = np.random.default_rng(0)
    return {
        name: random.integers(0, 256 if name[0] == "x" else 10, (PER_BATCH * batches, *shape)).astype(np.uint8)
        for part, batches in (("train", len(BATCHES)), ("test", 1))
        for name, shape in ((f"x_{part}", (32, 32, 3)), (f"y_{part}", (1,)))
    }


def same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def batches_of(photographs: Mapping[str, Array]) -> Mapping[str, tuple[Array, Array]]:
    train = {
        batch: (photographs["x_train"][start : start + PER_BATCH], photographs["y_train"][start : start + PER_BATCH])
        for batch, start in zip(BATCHES, range(0, PER_BATCH * len(BATCHES), PER_BATCH), strict=True)
    }
    return {**train, "test_batch": (photographs["x_test"], photographs["y_test"])}


def test_the_binary_version_is_read_plane_by_plane(photographs: Mapping[str, Array], tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tarball:
        for batch, (pixels, labels) in reversed(list(batches_of(photographs).items())):
            rows = np.concatenate([labels, pixels.transpose(0, 3, 1, 2).reshape(len(labels), -1)], axis=1).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{batch}.bin")
            member.size = len(rows)
            tarball.addfile(member, io.BytesIO(rows))
        tarball.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"))
    assert same(read_binary(archive), photographs)


def test_the_package_is_read_a_row_a_photograph(photographs: Mapping[str, Array], tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    for batch, (pixels, _) in batches_of(photographs).items():
        Image.fromarray(pixels.reshape(len(pixels), -1, 3)).save(folder / f"{batch}.png")
    for part in ("train", "test"):
        labels = photographs[f"y_{part}"].reshape(-1).tolist()
        (folder / f"{part}_lables.json").write_text(json.dumps(labels))
    assert same(read_pictures(tmp_path), photographs)


def test_the_subset_is_the_first_of_each_class(photographs: Mapping[str, Array], monkeypatch: Any) -> None:
    monkeypatch.setitem(SUBSET, "train", 2)
    monkeypatch.setitem(SUBSET, "test", 0)
    few = subset(lambda _: photographs)(Path())
    first = np.flatnonzero(photographs["y_train"] == 3)[:2]
    np.testing.assert_array_equal(few["x_train"][few["y_train"].reshape(-1) == 3], photographs["x_train"][first])
    assert few["y_train"].reshape(-1).tolist() == [label for label in range(10) for _ in range(2)]
    assert len(few["x_test"]) == 0


@pytest.fixture(scope="module")
def real(mirror: Folder) -> Data:
    return load(mirror, whole=False)


def test_every_class_is_there_as_often(real: Data) -> None:
    assert np.bincount(real.train.targets).tolist() == [500] * len(LABELS)
    assert np.bincount(real.test.targets).tolist() == [100] * len(LABELS)
    assert PLUGIN.baseline(real) == {"accuracy": 0.1}
