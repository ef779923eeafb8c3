"""Nonsense at every HTTP door: refused in the door's own form, and the next request on the connection is answered."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.doors import DOORS, cases, check_form
from tests.fuzz.lengths import LOOK
from tests.fuzz.running import Target


@pytest.fixture(scope="module")
def connection(target: Target) -> Iterator[HTTPConnection]:
    """One that stays open over all cases."""
    connection = target.connect()
    yield connection
    connection.close()


@pytest.mark.parametrize("door", DOORS)
@LOOK
@given(data=st.data())
def test_it_is_the_clients_fault_and_said_so(
    target: Target, connection: HTTPConnection, door: str, data: st.DataObject
) -> None:
    case = data.draw(cases(door))
    target.count(door)
    check_form(case, case.send(connection))
    target.check_own(connection)
