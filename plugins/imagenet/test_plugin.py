from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Config, Data, Dataset
from plugins.efficientnet import WEIGHTS
from plugins.imagenet.model import VIEW, build
from plugins.imagenet.plugin import PLUGIN
from plugins.torch_file import read_state

ELEPHANT = 386
# In the photograph, which is 525 x 351: left, top, right, bottom of the calf and of the cow.
ELEPHANTS = ((90, 130, 290, 235), (238, 50, 525, 210))


class Folder:
    """Datasets from a folder, unverified."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        return dataset.read(self.folder / dataset.file)


@pytest.fixture(scope="module")
def folder() -> Path:
    folder = Path(os.environ.get("TENSORGATE_DATASETS", ""))
    if not (folder / WEIGHTS.file).is_file():
        pytest.skip(f"TENSORGATE_DATASETS names no folder with {WEIGHTS.file}")
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> Data:
    return PLUGIN.load_data(Config(), Folder(folder))


@pytest.fixture(scope="module")
def model(data: Data) -> Any:
    return build("efficientnet_lite0", data.train.assets)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model, "classify", "explain")


@pytest.fixture(scope="module")
def elephants(folder: Path) -> bytes:
    return (folder / "photos/creative_commons_elephant.jpg").read_bytes()


def trainable(model: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_the_network_is_the_papers(model: Any) -> None:
    assert trainable(model) == 4_652_008


def test_the_books_elephants_are_african(endpoints: Mapping[str, Endpoint], elephants: bytes) -> None:
    (scores,) = endpoints["classify"](image_bytes=np.array([elephants], object))["scores"]
    assert PLUGIN.labels[scores.argmax()] == "African elephant"
    assert scores[ELEPHANT] >= 0.8
    assert scores.sum() == pytest.approx(1, abs=1e-5)


def test_elephants_upside_down_are_turned_by_their_exif(endpoints: Mapping[str, Endpoint], elephants: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = io.BytesIO()
    with Image.open(io.BytesIO(elephants)) as picture:
        picture.transpose(Image.Transpose.ROTATE_180).save(turned, "JPEG", quality=95, exif=exif)
    (scores,) = endpoints["classify"](image_bytes=np.array([turned.getvalue()], object))["scores"]
    assert scores[ELEPHANT] >= 0.8


def test_the_heat_of_elephant_is_on_the_elephants(endpoints: Mapping[str, Endpoint], elephants: bytes) -> None:
    asked = {"image_bytes": np.array([elephants], object), "target": np.array([ELEPHANT], np.int32)}
    answer = endpoints["explain"](**asked, alpha=np.array([0.4], np.float32))
    with Image.open(io.BytesIO(answer["image_bytes"][0])) as overlay:
        assert overlay.size == (525, 351)
    where = np.zeros((351, 525), bool)
    for left, top, right, bottom in ELEPHANTS:
        where[top:bottom, left:right] = True
    top, left, side = map(int, VIEW.square((351, 525)))
    seen = where[top : top + side, left : left + side]
    heat = np.asarray(Image.fromarray(answer["heatmap"][0]).resize((side, side), Image.Resampling.BILINEAR))
    random = np.random.default_rng(0)
    elsewhere = [share(heat, np.roll(seen, random.integers(0, side, 2), (0, 1))) for _ in range(200)]
    assert share(heat, seen) > 0.6
    assert share(heat, seen) > np.quantile(elsewhere, 0.95)


def share(heat: Array, where: Array) -> float:
    return float(heat[where].sum() / heat.sum())


def test_each_class_has_a_name_of_its_own(data: Data) -> None:
    assert len(set(PLUGIN.labels)) == len(PLUGIN.labels) == 1000
    assert (PLUGIN.labels[0], PLUGIN.labels[134], PLUGIN.labels[517]) == ("tench", "crane (134)", "crane (517)")


def test_the_photographs_are_of_what_they_are_said_to_be_of(data: Data) -> None:
    assert [PLUGIN.labels[number] for number in data.test.targets] == ["tabby", "espresso", "palace", "alp"]
    assert PLUGIN.baseline(data) == {"accuracy": 0.001}


def test_the_books_network_takes_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    real = keras.applications.VGG16
    monkeypatch.setattr(keras.applications, "VGG16", lambda **asked: real(**{**asked, "weights": None}))
    assert trainable(build("vgg16", {})) == 138_357_544


class Tensor:
    """Pickled as PyTorch pickles one: a view of a storage whose values stand behind the pickles."""

    def __init__(self, *view: Any) -> None:
        self.view = view

    def __reduce__(self) -> Any:
        return rebuild, (*self.view, False, OrderedDict())


def rebuild(*_: Any) -> None:
    """Stands for `torch._utils._rebuild_tensor_v2`."""


def torch_file(path: Path, state: Any, storage: Array, called: str = "_rebuild_tensor_v2") -> Path:
    """A file as PyTorch 1.5 wrote it, of one storage."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", "FloatStorage", "7", "cpu", storage.size, None) if value is storage else None

    body = io.BytesIO()
    Pickler(body, 2).dump(state)
    tensors = body.getvalue().replace(b"rebuild\n", called.encode() + b"\n")
    content = [*(pickle.dumps(told, 2) for told in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})), tensors]
    content += [pickle.dumps(["7"], 2), storage.size.to_bytes(8, "little"), storage.tobytes()]
    path.write_bytes(b"".join(content))
    return path


def test_a_torch_file_is_read_without_torch(tmp_path: Path) -> None:
    storage = np.arange(8, dtype=np.float32)
    state = {"a": Tensor(storage, 2, (2, 3), (1, 2)), "b": Tensor(storage, 0, (2,), (1,))}
    arrays = read_state(torch_file(tmp_path / "state", state, storage))
    assert arrays["a"].tolist() == [[2, 4, 6], [3, 5, 7]]
    assert arrays["b"].tolist() == [0, 1]


def test_a_torch_file_that_calls_something_is_refused(tmp_path: Path) -> None:
    storage = np.zeros(2, np.float32)
    file = torch_file(tmp_path / "state", {"a": Tensor(storage, 0, (2,), (1,))}, storage, called="system")
    with pytest.raises(pickle.UnpicklingError, match=r"tensors. Received: .*system"):
        read_state(file)
