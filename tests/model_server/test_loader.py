"""Real SavedModels: what the garbage collector has to do with them."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.errors import TensorgateError
from tests.model_server.server_process import conformance


@pytest.fixture(scope="module")
def models() -> Path:
    folder = conformance()
    if folder is None:
        pytest.skip("TENSORGATE_CONFORMANCE does not name the folder of the recorded exchanges")
    return folder / "models"


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def load(folder: Path) -> str:
    """Load it and close it; why it cannot be."""
    import tensorflow  # noqa: F401 - whole, as other tests of this process may want it

    from services.model_server.loader import SavedModelLoader

    try:
        session, _ = SavedModelLoader().load(folder)
    except TensorgateError as error:
        return error.code.name
    session.close()
    return ""


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("model", ["mlp", "text", "classreg"])
def test_what_is_closed_leaves_nothing_to_the_garbage_collector(models: Path, model: str) -> None:
    load(models / model / "1")
    gc.collect()
    load(models / model / "1")
    assert gc.collect() == 0


@pytest.mark.usefixtures("uncollected")
def test_nor_does_what_cannot_be_loaded(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "mlp" / "1", tmp_path, dirs_exist_ok=True)
    values = tmp_path / "variables" / "variables.data-00000-of-00001"
    values.write_bytes(bytes(len(values.read_bytes())))
    assert load(tmp_path) == "DATA_LOSS"
    gc.collect()
    load(tmp_path)
    assert gc.collect() == 0
