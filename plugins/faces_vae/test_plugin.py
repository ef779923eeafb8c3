import io
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, Dataset, InvalidArgument, Samples, Unavailable
from plugins.faces_vae.data import DRAWN, load, read_npz
from plugins.faces_vae.model import FacesConfig, FacesVae, build
from plugins.faces_vae.pictures import example_face
from plugins.faces_vae.plugin import PLUGIN
from plugins.panels import encoded_means, painted, png


def plain_faces(count: int, seed: int) -> Samples:
    """The example in many shades, soon learned; a smile is a light mouth."""
    rng = np.random.default_rng(seed)
    smiling = rng.integers(0, 2, count)
    faces = np.repeat(example_face()[np.newaxis].astype(float), count, axis=0)
    faces[:, 20:28, 7:25] = np.where(smiling, 250, 90)[:, np.newaxis, np.newaxis]
    faces *= rng.uniform(0.4, 1, (count, 1, 1))
    return Samples(faces.astype(np.uint8), smiling.astype(np.int32))


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(plain_faces(512, 1), plain_faces(64, 2))


@pytest.fixture(scope="module")
def model(data: Data) -> FacesVae:
    keras.utils.set_random_seed(1)
    model = build(FacesConfig())
    model.fit(data.train.in_order(32), epochs=12, shuffle=False, verbose=0)
    for statistic in model.concepts.weights:  # what the young network's batches left, which more training would fade
        statistic.assign(statistic * 0)
    model.concepts.learn(encoded_means(model, data.train.inputs), data.train.targets)
    return model


@pytest.fixture(scope="module")
def endpoints(model: FacesVae, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model, "edit", "sheet", "generate", "encode")


def pixels(picture: bytes) -> Array:
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


def edited(endpoints: Mapping[str, Endpoint], face: bytes, *asked: tuple[str, float]) -> list[Array]:
    concepts, strengths = zip(*asked, strict=True)
    answer = endpoints["edit"](
        image_bytes=np.array([face] * len(asked), object),
        concept=np.array(concepts, object),
        strength=np.array(strengths, np.float32),
        scale=np.ones(len(asked), np.int32),
    )
    return [pixels(picture) for picture in answer["image_bytes"]]


def test_a_face_that_does_not_smile_does_with_the_smile_added(
    model: FacesVae, data: Data, endpoints: Mapping[str, Endpoint]
) -> None:
    serious = data.test.inputs[data.test.targets == 0][0]
    none, one, less = edited(endpoints, png(serious), ("smile", 0.0), ("smile", 1.0), ("smile", -1.0))
    assert list(model.smiling(np.stack([none, one]))) == [False, True]
    mouths = [picture[20:28, 7:25].mean() for picture in (less, none, one)]
    assert mouths[0] < mouths[1] < mouths[2] - 50
    np.testing.assert_allclose(none, painted(model, encoded_means(model, serious[np.newaxis]))[0], atol=1)


def test_a_strength_beyond_the_limit_and_an_unknown_concept_fail_no_batch(endpoints: Mapping[str, Endpoint]) -> None:
    face = png(example_face())
    most, more, none, other = edited(endpoints, face, ("smile", 3), ("smile", 99), ("smile", 0), ("frown", 1))
    np.testing.assert_array_equal(most, more)
    np.testing.assert_array_equal(none, other)


def test_a_large_photograph_in_colour_is_encoded_as_the_small_face(endpoints: Mapping[str, Endpoint]) -> None:
    large = Image.fromarray(example_face()).resize((320, 320), Image.Resampling.NEAREST).convert("RGB")
    jpeg = io.BytesIO()
    large.save(jpeg, "JPEG", quality=95)
    answer = endpoints["encode"](image_bytes=np.array([png(example_face()), jpeg.getvalue()], object))
    small, large_one = answer["z_mean"]
    np.testing.assert_allclose(small, large_one, atol=0.1)


def test_the_sheet_is_the_faces_of_seeds_that_follow_each_other(endpoints: Mapping[str, Endpoint]) -> None:
    sheet, single = endpoints["sheet"](seed=np.array([5, 8]), n=np.array([2, 1], np.int32))["image_bytes"]
    alone = endpoints["generate"](seed=np.array([8]), scale=np.array([1], np.int32))["image_bytes"][0]
    assert pixels(sheet).shape == (64, 64)
    np.testing.assert_array_equal(pixels(sheet)[32:, 32:], pixels(alone))
    np.testing.assert_array_equal(pixels(single), pixels(alone))


def test_the_run_is_judged_by_the_bound_and_says_how_many_edited_faces_smile(model: FacesVae, data: Data) -> None:
    figures = PLUGIN.evaluate(model, data.test, FacesConfig())
    assert figures["negative_elbo"] < PLUGIN.baseline(data)["negative_elbo"]
    assert figures["judge_accuracy"] > 0.95
    assert figures["smiling_reconstructed"] < 0.1 and figures["smiling_edited"] > 0.9
    assert figures["smiling_ratio"] >= figures["smiling_edited"]


def test_the_judge_and_the_autoencoder_have_no_weight_in_common(model: FacesVae) -> None:
    judges, others = (
        {weight.path for part in parts for weight in part.weights}
        for parts in ([model.judge], [model.encoder, model.decoder])
    )
    assert judges and others and not judges & others


def test_every_figure_is_drawn(model: FacesVae, data: Data) -> None:
    sizes = {f.name: Image.open(io.BytesIO(f.png)).size for f in PLUGIN.figures(model, data, FacesConfig())}
    assert sizes == {"sheet": (256, 256), "reconstructions": (768, 256), "smile": (768, 384), "latent": (720, 748)}


class Nowhere:
    """No file is within reach."""

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        raise Unavailable(f"{dataset.file} could not be fetched")


def test_where_there_are_no_faces_it_is_said_how_to_bring_ones_own() -> None:
    with pytest.raises(Unavailable, match=r"--set faces=PATH.*could not be fetched"):
        load(None, Nowhere())


def test_drawn_faces_need_no_file_and_are_the_same_each_time() -> None:
    data, again = load(DRAWN, Nowhere()), load(DRAWN, Nowhere())
    assert (len(data.train), len(data.test)) == (3400, 600)
    np.testing.assert_array_equal(data.train.inputs, again.train.inputs)
    assert 0.4 < data.test.targets.mean() < 0.6
    faces = data.test.inputs.astype(float)
    mouths = [faces[data.test.targets == smiles, 20:28, 8:24].mean(0) for smiles in (0, 1)]
    assert mouths[1].max() - mouths[0].max() > 20  # teeth


def test_ones_own_faces_are_mixed_and_the_last_of_them_are_the_test(tmp_path: Path) -> None:
    own = plain_faces(100, 3)
    order = np.argsort(own.targets)
    np.savez(tmp_path / "own.npz", x=own.inputs[order], y=own.targets[order])
    data = load("own.npz", Folder(tmp_path))
    assert (len(data.train), len(data.test)) == (85, 15)
    assert 0.2 < data.test.targets.mean() < 0.8
    assert (np.concatenate([data.train.targets, data.test.targets]).sum()) == own.targets.sum()


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"x": np.zeros((4, 32, 32), np.uint8)}, r"arrays x and y\. Received: x"),
        ({"x": np.zeros((4, 64, 64), np.uint8), "y": np.arange(4) % 2}, r"Received: x uint8 \(4, 64, 64\)"),
        ({"x": np.zeros((4, 32, 32), np.float32), "y": np.arange(4) % 2}, r"Received: x float32"),
        ({"x": np.zeros((4, 32, 32), np.uint8), "y": np.ones(4)}, r"has both\. Received: \[1\.\]"),
    ],
)
def test_a_file_of_other_things_is_refused(tmp_path: Path, arrays: Mapping[str, Array], told: str) -> None:
    np.savez(tmp_path / "own.npz", allow_pickle=False, **arrays)
    with pytest.raises(InvalidArgument, match=told):
        read_npz(tmp_path / "own.npz")


@pytest.mark.parametrize("content", [b"", b"x and y", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"\.npz file .* Received: own\.npz"):
        read_npz(tmp_path / "own.npz")


def test_an_array_by_itself_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "own.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InvalidArgument, match=r"\.npz file"):
        read_npz(tmp_path / "own.npz")


def test_the_faces_are_whole(mirror: Folder) -> None:
    data = load(None, mirror)
    assert (data.train.inputs.shape, data.test.inputs.shape) == ((3400, 32, 32), (600, 32, 32))
    assert 690 < PLUGIN.baseline(data)["negative_elbo"] < 710
