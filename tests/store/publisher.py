"""A publisher that kills itself at a given moment: `python -m tests.store.publisher URL MODEL FOLDER [MOMENT]`.

A moment is the name of the file that is written, and lies before (`NAME`), within (`NAME~`, of an upload) or after
(`NAME+`) the write. Uploads run side by side and a claim may be tried twice, so a count of writes would name none.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path, PurePosixPath

from services.store import Objects, open_objects
from services.store.objects import Progress
from services.store.versions import Store


class Fatal:
    """Objects whose write of one file kills this process."""

    def __init__(self, objects: Objects, moment: str) -> None:
        self._objects = objects
        self._moment = moment
        self.url = objects.url
        self.get, self.download, self.sweep = objects.get, objects.download, objects.sweep
        self.list, self.tags = objects.list, objects.tags
        self.folders, self.delete = objects.folders, objects.delete

    def put(self, key: str, data: bytes, expected: str | None) -> None:
        name = PurePosixPath(key).name
        self._die_at(name)
        self._objects.put(key, data, expected)
        self._die_at(f"{name}+")

    def upload(self, path: Path, key: str, progress: Progress) -> None:
        self._die_at(path.name)
        self._objects.upload(path, key, lambda _: self._die_at(f"{path.name}~"))
        self._die_at(f"{path.name}+")

    def _die_at(self, moment: str) -> None:
        if moment == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, model: str, folder: str, moment: str = "") -> None:
    """Publish and print the version, if that moment never comes."""
    print(Store(Fatal(open_objects(url), moment)).publish(model, Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
