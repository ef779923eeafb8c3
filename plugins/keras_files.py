"""The files behind `keras.datasets` and `keras.applications`: where they are, and how those of texts are read."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from plugins.contract import Array, Dataset, Source, Unavailable, Url

_ADDRESS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_ALLOWED = {"_reconstruct", "ndarray", "dtype"}  # of NumPy: all that an array of lists of numbers is made of


def keras_file(name: str, sha256: str, read: Callable[[Path], Mapping[str, Array]], *others: Source) -> Dataset:
    """One of Keras's files, called the same in a mirror; `others` are further places that have its content."""
    return Dataset(name, sha256, read, (Source(Url(_ADDRESS + name), read), *others))


def fetched_by_keras(build: Callable[[], Any], network: str) -> Any:
    """A network of `keras.applications`, whose weights Keras fetches and checks. Raises Unavailable."""
    try:
        return build()
    except Exception as error:  # Keras says it with a plain one
        raise Unavailable(f"{network}'s weights come from Keras's own address. Received: {error}") from error


def read_words(file: Path) -> Mapping[str, Array]:
    """An index of words, {word: rank}: the words in the order of their rank, a line each, as UTF-8."""
    ranks = json.loads(file.read_text())
    return {"words": np.frombuffer("\n".join(sorted(ranks, key=ranks.__getitem__)).encode(), np.uint8)}


class _ListsOnly(pickle.Unpickler):
    """A pickle may run any code, and the file is from elsewhere: this one makes arrays and lists."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] != "numpy" or name not in _ALLOWED:
            raise pickle.UnpicklingError(f"An array of lists holds nothing else. Received: {module}.{name}")
        return super().find_class(module, name)


def read_lists(file: Path) -> Mapping[str, Array]:
    """Each array of lists in the file as two: `name`, all numbers in one row (uint32), and `name_lengths` (uint32).

    Arrays of numbers, the labels, become uint8. Raises UnpicklingError for a file that holds anything else.
    """
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            name = Path(member).stem
            with archive.open(member) as content:
                array = _read_array(content)
            if array.dtype.hasobject:
                arrays[f"{name}_lengths"] = np.array([len(row) for row in array], np.uint32)
                arrays[name] = np.concatenate([np.asarray(row, np.uint32) for row in array])
            else:
                arrays[name] = array.astype(np.uint8)
    return arrays


def _read_array(content: IO[bytes]) -> Array:
    version = np.lib.format.read_magic(content)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(content)
    if dtype.hasobject:
        array: Array = _ListsOnly(content).load()
        return array
    return np.frombuffer(content.read(), dtype).reshape(shape)
