"""Weights out of a file that PyTorch wrote before 1.6, without PyTorch, and without running what the file asks for."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plugins.contract import Array

DTYPES: Mapping[str, Any] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_state(file: Path) -> Mapping[str, Array]:
    """A saved state dict's arrays.

    The file holds pickles: magic number, protocol, byte order, the state dict, the keys of its storages. Then comes
    each storage: its length, int64, and its values. Raises UnpicklingError for anything but tensors in a dict.
    """
    with file.open("rb") as content:
        for _ in range(3):
            _Unpickler(content).load()
        unpickler = _Unpickler(content)
        state = unpickler.load()
        for key in _Unpickler(content).load():
            length = int.from_bytes(content.read(8), "little")
            storage = unpickler.storages[key]
            storage[:] = np.frombuffer(content.read(length * storage.itemsize), storage.dtype)
    return state


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, Array] = {}

    def persistent_load(self, told: Any) -> Array:
        _, kind, key, _, length, _ = told
        return self.storages.setdefault(key, np.zeros(length, DTYPES[kind]))

    def find_class(self, module: str, name: str) -> Any:
        if name in DTYPES:
            return name
        known = {"OrderedDict": OrderedDict, "_rebuild_tensor_v2": _tensor}
        if name not in known:
            raise pickle.UnpicklingError(f"A state dict holds tensors. Received: {module}.{name}")
        return known[name]


def _tensor(storage: Array, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Array:
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps)
