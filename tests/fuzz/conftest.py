"""Registers the long look before pytest chooses it."""

from __future__ import annotations

from hypothesis import settings

from tests.fuzz.lengths import LONG

settings.register_profile("long", LONG)
