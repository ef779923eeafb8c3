import struct
from pathlib import Path

import numpy as np

from plugins.digits import read_idx, read_npz


def write_idx(file: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    file.write_bytes(header + values.tobytes())


def test_idx_files_and_npz_give_the_same_arrays(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (5, 28, 28), np.uint8),
        "y_train": random.integers(0, 10, 5, np.uint8),
        "x_test": random.integers(0, 256, (3, 28, 28), np.uint8),
        "y_test": random.integers(0, 10, 3, np.uint8),
    }
    data = tmp_path / "package" / "data"
    data.mkdir(parents=True)
    for name, prefix in (("train", "train"), ("test", "t10k")):
        write_idx(data / f"{prefix}-images-idx3-ubyte", arrays[f"x_{name}"])
        write_idx(data / f"{prefix}-labels-idx1-ubyte", arrays[f"y_{name}"])
    np.savez(tmp_path / "mnist.npz", allow_pickle=False, **arrays)

    from_idx, from_npz = read_idx(tmp_path), read_npz(tmp_path / "mnist.npz")

    assert from_idx.keys() == from_npz.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(from_idx[name], array)
        np.testing.assert_array_equal(from_npz[name], array)
        assert from_idx[name].dtype == from_npz[name].dtype == np.uint8
