import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.keras_files import read_lists


def saved(folder: Path, rows: object) -> Path:
    file = folder / "texts.npz"
    array = np.empty(2, object)
    array[:] = rows
    np.savez(file, x=array, y=np.array([1, 0], np.int64))
    return file


def test_lists_become_one_row_of_numbers_and_their_lengths(tmp_path: Path) -> None:
    arrays = read_lists(saved(tmp_path, [[7, 70_000], [5]]))
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "x": [7, 70_000, 5],
        "x_lengths": [2, 1],
        "y": [1, 0],
    }
    assert {str(array.dtype) for array in arrays.values()} == {"uint32", "uint8"}


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"Received: posix\.mkdir"):
        read_lists(saved(tmp_path, [[1], Harmful()]))
    assert not Path("ran").exists()
