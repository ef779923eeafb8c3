"""The garbage collector and threads, beside an event loop."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from services.core.pauses import shorten_pauses


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The other tests of this process have Python's own ways."""
    turn, callbacks = sys.getswitchinterval(), list(gc.callbacks)
    yield
    sys.setswitchinterval(turn)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_what_took_the_collector_long_it_goes_through_no_more() -> None:
    shorten_pauses()
    lasting = [[number] for number in range(500_000)]
    gc.collect()
    assert not any(one is lasting[0] for one in gc.get_objects())


def test_what_is_quick_to_go_through_stays_in_its_sight() -> None:
    shorten_pauses()
    passing: list[object] = []
    passing.append(passing)
    gc.collect()
    assert any(one is passing for one in gc.get_objects())
    assert sys.getswitchinterval() < 0.001
