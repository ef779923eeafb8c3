"""Registers the long look before pytest chooses it; one gateway for all that is sent over the network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.fuzz.running import Target, running

settings.register_profile("long", settings.default)


@pytest.fixture(scope="package")
def target() -> Iterator[Target]:
    """A gateway process; at the end it says what it was asked and what memory that took."""
    with running() as made:
        yield made
        print(f"\n{made.told()}")
