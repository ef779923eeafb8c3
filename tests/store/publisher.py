"""A publisher that kills itself at a given step: `python -m tests.store.publisher URL MODEL FOLDER STEP`.

Steps are counted in calls that change the store; the fatal one happens before (`STEP`) or after (`STEP+`) it.
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

    def __init__(self, objects: Objects, step: int, after: bool) -> None:
        self._objects = objects
        self._step = step
        self._after = after
        self._count = itertools.count()
        self.url = objects.url
        self.get, self.download = objects.get, objects.download
        self.list, self.folders, self.delete = objects.list, objects.folders, objects.delete

    def put(self, key: str, data: bytes, expected: str | None) -> None:
        fatal = next(self._count) == self._step
        _die_if(fatal and not self._after)
        self._objects.put(key, data, expected)
        _die_if(fatal)

    def upload(self, path: Path, key: str, progress: Progress) -> None:
        fatal = next(self._count) == self._step
        _die_if(fatal and not self._after)
        self._objects.upload(path, key, progress)
        _die_if(fatal)


def _die_if(fatal: bool) -> None:
    if fatal:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    url, model, folder, step = sys.argv[1:]
    objects = Fatal(open_objects(url), int(step.rstrip("+")), step.endswith("+"))
    print(Store(objects).publish(model, Path(folder)))
