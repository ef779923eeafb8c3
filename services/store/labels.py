"""Where each model's labels point, and who has moved one since the last look."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from services.core.errors import Aborted, DataLoss, Unavailable
from services.core.refs import check_model_name, is_model_name
from services.store.objects import Objects

# No model can be called that. All lie beside each other, so that one listing tells which have changed.
_FOLDER = ".labels/"
_SUFFIX = ".json"
_READS_AT_ONCE = 16
_MOST_TRIES = 50
_LABELS = TypeAdapter(dict[str, int])

Labels = Mapping[str, int]


@dataclass(frozen=True)
class SeenLabels:
    """One model's labels as they were at `tag`, or why they cannot be read."""

    tag: str | None
    labels: Labels | DataLoss


class LabelBook:
    """`.labels/<model>.json` is {label: version}, changed by compare-and-swap."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def read(self, model: str) -> dict[str, int]:
        """The labels of one model. Raises DataLoss when they cannot be read."""
        return _parsed(model, self._get(model)[0])

    def change(self, model: str, change: Callable[[Labels], dict[str, int]]) -> None:
        """Read, change, write if nobody else wrote in between; else again from the start."""
        for _ in range(_MOST_TRIES):
            data, etag = self._get(model)
            changed = json.dumps(change(_parsed(model, data)), sort_keys=True).encode()
            try:
                self._objects.put(_key(model), changed, etag)
            except Aborted:
                continue
            return
        raise Aborted(f"The labels of {model} were changed by others {_MOST_TRIES} times in a row; try again")

    def look(self, seen: Mapping[str, SeenLabels]) -> Mapping[str, SeenLabels]:
        """The labels of every model that has any, by one listing; read are only those that are not as they were `seen`.

        Raises what the store raises.
        """
        tags = {
            name: tag
            for key, tag in self._objects.tags(_FOLDER)
            if is_model_name(name := key.removeprefix(_FOLDER).removesuffix(_SUFFIX)) and key == _key(name)
        }
        changed = [name for name, tag in tags.items() if name not in seen or seen[name].tag != tag]
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            read = dict(zip(changed, pool.map(self._see, changed), strict=True))
        return {name: read.get(name) or seen[name] for name in tags}

    def _see(self, model: str) -> SeenLabels:
        data, tag = self._get(model)
        try:
            return SeenLabels(tag, _parsed(model, data))
        except DataLoss as error:
            return SeenLabels(tag, error)

    def _get(self, model: str) -> tuple[bytes, str | None]:
        stored = self._objects.get(_key(model))
        return (b"{}", None) if stored is None else (stored.data, stored.etag)


class LabelWatch:
    """Looks at all labels again and again; owned by one task. A look costs a listing, and a read for each change."""

    def __init__(self, book: LabelBook) -> None:
        self._book = book
        self._seen: Mapping[str, SeenLabels] = {}

    def look(self) -> Mapping[str, Labels | DataLoss]:
        """The labels of every model that has any, or why they cannot be read. Raises what the store raises.

        Raises Unavailable, too, where there were some and no file of labels is left. A label that is removed leaves its
        file; a folder that is unmounted leaves none.
        """
        seen = self._book.look(self._seen)
        if self._seen and not seen:
            raise Unavailable(f"A store that has had labels has some. Received: none, of {len(self._seen)} before")
        self._seen = seen
        return {model: seen.labels for model, seen in self._seen.items()}


def _key(model: str) -> str:
    return f"{_FOLDER}{check_model_name(model)}{_SUFFIX}"


def _parsed(model: str, data: bytes) -> dict[str, int]:
    try:
        return _LABELS.validate_json(data, strict=True)
    except ValidationError as error:
        raise DataLoss(f"The labels of {model} cannot be read: {error.error_count()} faults") from error
