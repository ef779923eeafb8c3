"""Whatever bytes come, a parser makes a value of them or says what is wrong, in time and memory that fit the bytes."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.lengths import LOOK
from tests.fuzz.parsers import PARSERS

# Of processor time and of memory: at least so much for any input, and so much more for each of its bytes.
SECONDS, SECONDS_A_BYTE = 1.0, 5e-6
BYTES, BYTES_A_BYTE = 4 << 20, 100


# Starlette leaves the last file of a form that breaks off to Python, which closes it at once and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", PARSERS)
@LOOK
@given(data=st.data())
def test_it_ends_in_a_value_or_in_an_error_of_ours(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    given = data.draw(parser.inputs)
    tracemalloc.start()
    began = time.process_time()
    try:
        parser(given)
        took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took < SECONDS + SECONDS_A_BYTE * len(given)
    assert peak < BYTES + BYTES_A_BYTE * len(given)


@pytest.mark.parametrize("name", PARSERS)
def test_it_reads_its_seeds(name: str) -> None:
    told = {PARSERS[name](seed) for seed in PARSERS[name].seeds}
    assert "value" in told
