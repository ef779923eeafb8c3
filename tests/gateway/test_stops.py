import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.core.errors import InvalidArgument
from services.gateway.stops import LONGEST_STOP, Stops, stops_of

letters = st.text("ab", max_size=30)


@given(parts=st.lists(letters, max_size=6), strings=st.lists(st.text("ab", min_size=1, max_size=4), max_size=4))
@example(parts=["ab", "a"], strings=["aba", "b"])
@example(parts=["aba"], strings=["aba", "b"])
def test_however_a_text_is_cut_it_ends_before_the_stop_string_that_is_complete_first(
    parts: list[str], strings: list[str]
) -> None:
    text = "".join(parts)
    ends = [(text.find(string) + len(string), text.find(string)) for string in strings if string in text]
    stops, told, stopped = Stops(strings), "", False
    for part in parts:
        new, stopped = stops.read(part)
        told += new
        if stopped:
            break
    if not stopped:
        told += stops.rest()
    assert stopped == bool(ends)
    assert told == (text[: min(ends)[1]] if ends else text)


def test_only_what_may_be_the_beginning_of_a_stop_string_is_held_back() -> None:
    stops = Stops(["\n\n", "end"])
    assert [stops.read(part)[0] for part in ("the e", "n", "try\n", "a")] == ["the ", "", "entry", "\na"]


@pytest.mark.parametrize("strings", [[""], ["x" * (LONGEST_STOP + 1)], ["a", "b", "c", "d", "e"]])
def test_stop_strings_are_few_and_short_and_not_empty(strings: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="at most 4 strings of 1 to 64 characters"):
        stops_of(strings)
