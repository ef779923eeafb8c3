"""Versions, manifests and labels, written once above any place that keeps objects."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import EllipsisType
from typing import NamedTuple

from pydantic import ValidationError

from services.core.card import CARD_PATH, Card
from services.core.errors import Aborted, DataLoss, FailedPrecondition, NotFound, ResourceExhausted
from services.core.manifest import MANIFEST_NAME, FileEntry, Manifest, list_files, sha256_of
from services.core.refs import check_label, check_model_name, check_version, is_model_name, is_version
from services.store.labels import LabelBook, LabelWatch
from services.store.objects import Objects, no_progress

CLAIM_NAME = ".claim"
_FILES_AT_ONCE = 8
_MOST_TRIES = 50

UploadProgress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one file of a version."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class StoredFile(NamedTuple):
    """A file in the folder of a version."""

    model: str
    version: int
    name: str
    modified: datetime


class Store:
    """Models, their versions and their labels, in any `Objects`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._labels = LabelBook(objects)
        self.url = objects.url

    def models(self) -> list[str]:
        """Names of the models that have been claimed, in order; folders that can be no model's are passed over."""
        return [name for name in self._objects.folders("") if is_model_name(name)]

    def versions(self, model: str) -> list[int]:
        """Numbers of the versions that exist, ascending: those with a manifest."""
        return [version for version, names in _by_version(self._names(model)) if MANIFEST_NAME in names]

    def all_versions(self) -> dict[str, list[int]]:
        """The versions of every model, by one pass over all there is."""
        found: dict[str, list[int]] = {name: [] for name in self.models()}
        for one in self.files():
            if one.name == MANIFEST_NAME and one.model in found:
                found[one.model].append(one.version)
        return {model: sorted(versions) for model, versions in found.items()}

    def files(self) -> Iterator[StoredFile]:
        """Every file of every version and of what was claimed, by one pass over all there is."""
        for listed in self._objects.list(""):
            model, _, path = listed.key.partition("/")
            number, _, name = path.partition("/")
            if is_model_name(model) and is_version(number):
                yield StoredFile(model, int(number), name, listed.modified)

    def manifest(self, model: str, version: int) -> Manifest:
        """What a version consists of. Raises NotFound, or DataLoss when the manifest cannot be read."""
        stored = self._objects.get(_key(model, version, MANIFEST_NAME))
        if stored is None:
            raise NotFound(f"Version {version} of model {model} is not in the store {self.url}")
        try:
            return Manifest.model_validate_json(stored.data)
        except ValidationError as error:
            raise DataLoss(f"The manifest of {model}/{version} cannot be read: {error.error_count()} faults") from error

    def card(self, model: str, version: int) -> Card:
        """What a version's endpoint does. Raises NotFound, or DataLoss when it is not the card that was published."""
        entry = _entry(self.manifest(model, version), str(CARD_PATH))
        stored = self._objects.get(_key(model, version, str(CARD_PATH)))
        if stored is None:
            raise DataLoss(f"The card of {model}/{version} is in the manifest but not in the store")
        if hashlib.sha256(stored.data).hexdigest() != entry.sha256:
            raise DataLoss(f"The card of {model}/{version} is not the one that was published: its SHA-256 differs")
        try:
            return Card.model_validate_json(stored.data)
        except ValidationError as error:
            raise DataLoss(f"The card of {model}/{version} cannot be read: {error.error_count()} faults") from error

    def labels(self, model: str) -> dict[str, int]:
        """Where each label points. Raises DataLoss when that cannot be read."""
        return self._labels.read(model)

    def watch_labels(self) -> LabelWatch:
        """For who looks at the labels of all models again and again."""
        return LabelWatch(self._labels)

    def move_label(self, model: str, label: str, version: int, *, expected: int | EllipsisType | None = ...) -> None:
        """Point a label at a version. Raises FailedPrecondition if there is no such version.

        With `expected`, only if the label still points there (None: nowhere yet). Raises Aborted if not.
        """
        check_label(label)
        self._check_there(model, version)
        before: int | None = None

        def moved(labels: Mapping[str, int]) -> dict[str, int]:
            nonlocal before
            before = labels.get(label)
            if expected is not ... and before != expected:
                raise Aborted(f"{model}@{label} was to be at {expected} still. Received: {before}")
            return {**labels, label: version}

        def back(labels: Mapping[str, int]) -> dict[str, int]:
            others = {name: pointed for name, pointed in labels.items() if (name, pointed) != (label, version)}
            return {label: before, **others} if before is not None else others

        self._labels.change(model, moved)
        try:
            self._check_there(model, version)
        except FailedPrecondition:  # removed in the same moment
            self._labels.change(model, back)
            raise

    def _check_there(self, model: str, version: int) -> None:
        if self._objects.get(_key(model, check_version(version), MANIFEST_NAME)) is None:
            raise FailedPrecondition(
                f"A label points at a version that is in the store: {self.versions(model) or 'none'}. "
                f"Received: version {version} of model {model}"
            )

    def remove_label(self, model: str, label: str) -> None:
        """Take a label away. Raises NotFound if it is not there."""

        def without(labels: Mapping[str, int]) -> dict[str, int]:
            if label not in labels:
                raise NotFound(f"Model {model} has labels {sorted(labels) or 'none'}. Received: {label!r}")
            return {name: version for name, version in labels.items() if name != label}

        self._labels.change(model, without)

    def publish(self, model: str, folder: Path, on_progress: UploadProgress | None = None) -> int:
        """Store a SavedModel's folder as the next version; returns its number.

        Claims the number, uploads in parallel, writes the manifest last: killed anywhere before that, nothing is
        visible, and the number is not used again.
        """
        files = _publishable(folder)
        version = self._claim(check_model_name(model))
        self._upload(model, version, folder, files, on_progress)
        manifest = Manifest(model=model, version=version, created=datetime.now(UTC), files=files)
        self._objects.put(_key(model, version, MANIFEST_NAME), manifest.model_dump_json(indent=1).encode(), None)
        return version

    def fetch(self, model: str, version: int, folder: Path) -> None:
        """Write a version's files into `folder`, each compared with its hash. Raises DataLoss naming what is wrong."""
        manifest = self.manifest(model, version)

        def fetch_one(entry: FileEntry) -> None:
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fetch_file(model, version, entry, path)

        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            list(pool.map(fetch_one, manifest.files))

    def fetch_file(self, model: str, version: int, entry: FileEntry, path: Path) -> None:
        """Write one file of a version to `path`. Raises DataLoss where it is missing or not what was published."""
        try:
            self._objects.download(_key(model, version, entry.path), path)
        except NotFound:
            raise DataLoss(f"{model}/{version}: {entry.path}: missing") from None
        if problem := _problem(path, entry):
            raise DataLoss(f"{model}/{version}: {entry.path}: {problem}")

    def verify(self, model: str, version: int) -> list[Fault]:
        """Read every byte of a version and compare it with the manifest; an empty list means that it is whole."""
        prefix = _key(model, version, "")
        try:
            manifest = self.manifest(model, version)
        except DataLoss as error:
            return [Fault(MANIFEST_NAME, error.message)]
        expected = {entry.path for entry in manifest.files} | {MANIFEST_NAME, CLAIM_NAME}
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            faults = [fault for fault in pool.map(lambda entry: self._fault(prefix, entry), manifest.files) if fault]
        names = (listed.key.removeprefix(prefix) for listed in self._objects.list(prefix))
        return faults + [Fault(name, "not in the manifest") for name in names if name not in expected]

    def _fault(self, prefix: str, entry: FileEntry) -> Fault | None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            try:
                self._objects.download(prefix + entry.path, path)
            except NotFound:
                return Fault(entry.path, "missing")
            problem = _problem(path, entry)
        return Fault(entry.path, problem) if problem else None

    def _claim(self, model: str) -> int:
        """Take the next number: one more than any ever taken."""
        for _ in range(_MOST_TRIES):
            taken = [version for version, _ in _by_version(self._names(model))]
            version = max(taken, default=0) + 1
            # Unlike any other, so that a store whose answer was lost can tell our claim from a rival's.
            claim = json.dumps({"claimed": datetime.now(UTC).isoformat(), "by": uuid.uuid4().hex}).encode()
            try:
                self._objects.put(_key(model, version, CLAIM_NAME), claim, None)
            except Aborted:
                continue  # someone else was quicker: the next number, then
            return version
        raise ResourceExhausted(f"A free version number of {model} is found in {_MOST_TRIES} tries. Received: none")

    def remove(self, model: str, version: int) -> None:
        """Take a version away for good, its manifest first. Raises FailedPrecondition while a label points at it."""
        self._check_unlabelled(model, version)
        prefix = _key(model, version, "")
        manifest = self._objects.get(prefix + MANIFEST_NAME)
        self._objects.delete([prefix + MANIFEST_NAME])
        try:
            self._check_unlabelled(model, version)
        except FailedPrecondition:  # a label was moved to it in the same moment
            if manifest is not None:
                self._objects.put(prefix + MANIFEST_NAME, manifest.data, None)
            raise
        claim = prefix + CLAIM_NAME  # stays, so that the number is never used for something else
        self._objects.delete([listed.key for listed in self._objects.list(prefix) if listed.key != claim])

    def _check_unlabelled(self, model: str, version: int) -> None:
        names = [label for label, pointed in self.labels(model).items() if pointed == version]
        if names:
            raise FailedPrecondition(
                f"A version that a label points at stays. Received: {model}/{version}, which is {', '.join(names)}"
            )

    def sweep(self, before: datetime) -> None:
        """Remove the invisible leftovers of writers killed before that time."""
        self._objects.sweep(before)

    def _upload(
        self, model: str, version: int, folder: Path, files: tuple[FileEntry, ...], on_progress: UploadProgress | None
    ) -> None:
        total, done, lock = sum(entry.size for entry in files), 0, Lock()

        def moved(count: int) -> None:
            nonlocal done
            with lock:
                done += count
                if on_progress is not None:
                    on_progress(done, total)

        def upload_one(entry: FileEntry) -> None:
            report = moved if on_progress is not None else no_progress
            self._objects.upload(folder / entry.path, _key(model, version, entry.path), report)

        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            list(pool.map(upload_one, files))

    def _names(self, model: str) -> Iterator[str]:
        prefix = f"{model}/"
        return (listed.key.removeprefix(prefix) for listed in self._objects.list(prefix))


def _publishable(folder: Path) -> tuple[FileEntry, ...]:
    files = list_files(folder)
    if not files:
        raise FailedPrecondition(f"A version has at least one file. Received: the empty folder {folder}")
    # An uploaded file of that name would make the version visible before it is whole.
    if ours := {entry.path for entry in files} & {MANIFEST_NAME, CLAIM_NAME}:
        raise FailedPrecondition(f"The store writes {' and '.join(sorted(ours))} itself. Received: {folder} with it")
    return files


def _key(model: str, version: int, name: str) -> str:
    return f"{check_model_name(model)}/{check_version(version)}/{name}"


def _by_version(names: Iterator[str]) -> list[tuple[int, set[str]]]:
    """Group `<version>/<file>` by version, ascending; what is in no numbered folder is left out."""
    files: dict[int, set[str]] = {}
    for name in names:
        number, slash, file = name.partition("/")
        if slash and is_version(number):
            files.setdefault(int(number), set()).add(file)
    return sorted(files.items())


def _entry(manifest: Manifest, path: str) -> FileEntry:
    for entry in manifest.files:
        if entry.path == path:
            return entry
    raise NotFound(f"{manifest.model}/{manifest.version} was published without {path}")


def _problem(path: Path, entry: FileEntry) -> str | None:
    size = path.stat().st_size
    if size != entry.size:
        return f"{entry.size} bytes were published. Received: {size}"
    digest = sha256_of(path)
    return None if digest == entry.sha256 else f"its SHA-256 was {entry.sha256[:12]}... Received: {digest[:12]}..."
