"""Publish and label, killed at every change of a file: `python -m tests.store.fatal_publishing STORE FOLDER`.

Prints how many died.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.core.refs import STABLE
from services.store import open_store
from tests.fatal_steps import die_at_every_change


def main(root: str, folder: str) -> int:
    """Every version that can be seen is whole, and the label points at one, whenever the publisher dies."""
    store = open_store(root)

    def publish_and_label() -> None:
        store.move_label("m", STABLE, store.publish("m", Path(folder)))

    def check() -> None:
        versions = store.versions("m")
        for version in versions:
            assert store.verify("m", version) == []
        assert set(store.labels("m").values()) <= set(versions)

    return die_at_every_change(Path(root), publish_and_label, check)


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
