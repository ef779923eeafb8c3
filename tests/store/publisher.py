"""A publisher that kills itself at a given step: `python -m tests.store.publisher URL MODEL FOLDER STEP`.

Steps are counted in calls that change the store; the fatal moment lies before (`STEP`), within (`STEP~`, of an upload)
or after (`STEP+`) the call.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

from services.store import Objects, open_objects
from services.store.objects import Progress
from services.store.versions import Store


class Fatal:
    """Objects whose n-th change kills this process."""

    def __init__(self, objects: Objects, step: str) -> None:
        self._objects = objects
        self._step = int(step.rstrip("+~"))
        self._moment = step.lstrip("0123456789")
        self._count = itertools.count()
        self.url = objects.url
        self.get, self.download, self.sweep = objects.get, objects.download, objects.sweep
        self.list, self.folders, self.delete = objects.list, objects.folders, objects.delete

    def put(self, key: str, data: bytes, expected: str | None) -> None:
        moment = self._next()
        _die_if(moment == "")
        self._objects.put(key, data, expected)
        _die_if(moment == "+")

    def upload(self, path: Path, key: str, progress: Progress) -> None:
        moment = self._next()
        _die_if(moment == "")
        self._objects.upload(path, key, lambda _: _die_if(moment == "~"))
        _die_if(moment == "+")

    def _next(self) -> str | None:
        return self._moment if next(self._count) == self._step else None


def _die_if(fatal: bool) -> None:
    if fatal:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    url, model, folder, step = sys.argv[1:]
    print(Store(Fatal(open_objects(url), step)).publish(model, Path(folder)))
