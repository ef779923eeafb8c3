"""Names and how they are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidArgument
from services.core.refs import ModelRef, parse_ref

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)
REFS = st.one_of(
    st.builds(ModelRef, NAMES),
    st.builds(ModelRef, NAMES, version=st.integers(1, 2**63 - 1)),
    st.builds(ModelRef, NAMES, label=st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True)),
)


@given(REFS)
def test_what_is_written_is_read_back(ref: ModelRef) -> None:
    assert parse_ref(str(ref)) == ref


@pytest.mark.parametrize(
    "text", ["", "/1", "m/", "m/x", "m/0", "m/-1", "m/²", f"m/{'9' * 5000}", "m@", "m@a b", ".m", "a/b/c", "m" * 101]
)
def test_what_breaks_a_rule_is_refused_with_the_value(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Received"):
        parse_ref(text)


def test_a_version_and_a_label_exclude_each_other() -> None:
    with pytest.raises(InvalidArgument, match="version 1, label 'stable'"):
        ModelRef("m", version=1, label="stable")
