"""What looking at a large store costs in calls of S3: `python -m tests.benchmarks.store_calls`.

Fills a real S3 server with 1,000 models of ten versions (some minutes), then looks at it as the mirror, the gateway and
`tensorgate models` do. Writes docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.core.manifest import FileEntry, Manifest
from services.gateway.router import Router
from services.mirror.wishes import Wishes, read_wishes
from services.store import Objects, Store
from services.store.s3 import S3Store, open_client
from tests.benchmarks.page import table, write_section
from tests.s3_server import BUCKET, s3_server

FILES = ("saved_model.pb", "fingerprint.pb", "variables/variables.index", "assets.extra/card.json")
WRITERS = 16
HEADING = "A store of 1,000 models with ten versions each"


class Calls:
    """Counts what a client of S3 sends, by boto3's own event."""

    def __init__(self, client: Any) -> None:
        self.sent = 0
        client.meta.events.register("before-send.s3", self._count)

    def _count(self, **_: Any) -> None:
        self.sent += 1


def fill(objects: Objects, model: str, versions: int) -> None:
    """As `publish` and `move_label` leave it, with files of a few bytes."""
    content = model.encode()
    files = tuple(FileEntry(path=name, size=len(content), sha256=sha256(content).hexdigest()) for name in FILES)
    for version in range(1, versions + 1):
        manifest = Manifest(model=model, version=version, created=datetime.now(UTC), files=files)
        for name in (".claim", *FILES):
            objects.put(f"{model}/{version}/{name}", content, None)
        objects.put(f"{model}/{version}/manifest.json", manifest.model_dump_json().encode(), None)
    Store(objects).move_label(model, "stable", versions)


def main() -> None:
    """Fill, look, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=10)
    size = parser.parse_args()
    with TemporaryDirectory() as folder, s3_server(Path(folder)) as environment:
        os.environ.update(environment)
        client = open_client()
        client.create_bucket(Bucket=BUCKET)
        calls, objects = Calls(client), S3Store(client, BUCKET, "")
        began = time.perf_counter()
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda number: fill(objects, f"m{number:04}", size.versions), range(size.models)))
        print(f"{calls.sent} calls to fill it, {time.perf_counter() - began:.0f} s", flush=True)
        rows = _looks(Store(objects), calls, Path(folder))
    text = table(("", "calls of S3", "seconds"), *((name, f"{sent:,}", f"{took:.2f}") for name, sent, took in rows))
    print(text)
    if (size.models, size.versions) == (1000, 10):
        write_section(HEADING, f"{_WORDS}\n\n{text}")


_WORDS = """`python -m tests.benchmarks.store_calls`, against SeaweedFS on one machine; a page has a thousand names. The
mirror looks at all labels; the gateway at the names of models, too; `tensorgate models` at every object."""


def _looks(store: Store, calls: Calls, folder: Path) -> list[tuple[str, int, float]]:
    rows: list[tuple[str, int, float]] = []
    mirror, gateway = partial(read_wishes, store.watch_labels(), Wishes(), {"m0000"}), Router(store, [], _nobody)

    def measure(name: str, look: Callable[[], object]) -> None:
        before, began = calls.sent, time.perf_counter()
        look()
        rows.append((name, calls.sent - before, time.perf_counter() - began))

    def both(when: str) -> None:
        measure(f"mirror: {when}", mirror)
        measure(f"gateway: {when}", lambda: asyncio.run(gateway.refresh()))

    both("first pass")
    both("nothing has changed")
    store.move_label("m0000", "stable", 1)
    both("one label has moved")
    (folder / "model").mkdir()
    (folder / "model" / "saved_model.pb").write_bytes(b"graph")
    version = store.publish("m0001", folder / "model")
    both("one version is new, without a label")
    store.move_label("m0001", "stable", version)
    both("that version is labelled")
    measure("mirror: that version is fetched, one file", lambda: store.fetch("m0001", version, folder))
    measure("`tensorgate models`: all versions", store.all_versions)
    return rows


async def _nobody(_: object) -> None:
    """Hears of the gateway's routing table."""


if __name__ == "__main__":
    main()
