"""Whatever is done in whatever order, a store is what a dictionary would be."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.core.errors import FailedPrecondition, NotFound
from services.store import open_store
from services.store.garbage import superfluous

LABELS = st.sampled_from(["stable", "canary"])
NUMBERS = st.integers(1, 6)


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.integers(0, 5))
def test_the_newest_and_the_labelled_versions_stay(versions: set[int], labelled: set[int], keep: int) -> None:
    gone = superfluous(sorted(versions), labelled, keep)
    assert gone == sorted(set(gone))
    assert set(gone) <= versions - labelled - set(sorted(versions, reverse=True)[:keep])
    assert len(versions - set(gone)) <= keep + len(labelled)


class Steps(RuleBasedStateMachine):
    """Publish, label, remove; `self.last` is the highest number ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        model = Path(self.folder.name) / "model"
        model.mkdir()
        (model / "saved_model.pb").write_bytes(b"graph")
        self.model = model
        self.store = open_store(f"{self.folder.name}/store")
        self.versions: set[int] = set()
        self.labels: dict[str, int] = {}
        self.last = 0

    @rule()
    def publish(self) -> None:
        self.last += 1
        assert self.store.publish("m", self.model) == self.last
        self.versions.add(self.last)

    @rule(label=LABELS, version=NUMBERS)
    def move_label(self, label: str, version: int) -> None:
        if version in self.versions:
            self.store.move_label("m", label, version, expected=self.labels.get(label))
            self.labels[label] = version
        else:
            with pytest.raises(FailedPrecondition):
                self.store.move_label("m", label, version)

    @rule(label=LABELS)
    def remove_label(self, label: str) -> None:
        if label in self.labels:
            self.store.remove_label("m", label)
            del self.labels[label]
        else:
            with pytest.raises(NotFound):
                self.store.remove_label("m", label)

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.versions)))
        if version in self.labels.values():
            with pytest.raises(FailedPrecondition):
                self.store.remove("m", version)
        else:
            self.store.remove("m", version)
            self.versions.remove(version)

    @invariant()
    def the_store_agrees(self) -> None:
        assert self.store.versions("m") == sorted(self.versions)
        assert self.store.labels("m") == self.labels

    def teardown(self) -> None:
        self.folder.cleanup()


TestAnyOrder = Steps.TestCase
TestAnyOrder.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
