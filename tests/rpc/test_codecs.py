"""Frames, headers and messages: what is written is read, and what is nonsense is an error of ours."""

from __future__ import annotations

import asyncio

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import Code
from services.rpc import frames
from services.rpc.frames import Broken
from services.rpc.headers import Blocks, literal
from services.rpc.incoming import Incoming
from services.rpc.messages import Status, prefixed, quoted, timeout_of, timeout_text, unquoted
from services.rpc.server_connection import Connections, ServerConnection
from tests.fuzz.wires import RULES, Recorder

HEADERS = st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=300)), max_size=8)


@given(st.lists(HEADERS, max_size=6))
def test_headers_are_read_as_they_were_written_by_us_and_by_others(several: list[list[tuple[bytes, bytes]]]) -> None:
    blocks, others = Blocks(tuple), Encoder()
    for headers in several * 2:
        plain = b"".join(literal(name, value) for name, value in headers)
        for block in (plain, others.encode(headers), plain):
            assert [tuple(header) for header in blocks.of(block)] == headers


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_headers_that_are_none_are_a_broken_connection_and_nothing_else(several: list[bytes]) -> None:
    blocks = Blocks(tuple)
    for block in several:
        try:
            blocks.of(block)
        except Broken:
            break


@given(st.text())
def test_a_text_survives_as_a_header(text: str) -> None:
    text = text.encode(errors="replace").decode()
    assert unquoted(quoted(text)) == text


@given(st.floats(0, 1e9))
def test_a_time_limit_is_never_shortened(seconds: float) -> None:
    told = timeout_of(timeout_text(seconds))
    assert told is not None
    assert told >= min(seconds, 99_999_999) - 1e-6


@given(st.lists(st.binary(max_size=50), max_size=5), st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_messages_come_whole_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream, incoming = b"".join(map(prefixed, messages)), Incoming(b"identity", 100)
    got: list[bytes] = []
    at = 0
    for number in range(len(stream)):
        size = cuts[number % len(cuts)]
        got += incoming.several(stream[at : at + size])
        at += size
    assert got == messages


def test_a_message_larger_than_it_may_be_is_refused_by_its_first_bytes() -> None:
    with pytest.raises(Status) as caught:
        Incoming(b"identity", 100).add(prefixed(bytes(101))[:5])
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


FRAMES = st.builds(
    frames.frame, st.integers(0, 10), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)
) | st.binary(max_size=40)


@given(st.lists(FRAMES, max_size=12))
def test_no_bytes_from_a_client_raise_anything(sent: list[bytes]) -> None:
    async def take() -> None:
        connection, transport = ServerConnection(RULES, Connections()), Recorder()
        connection.connection_made(transport)
        for data in (frames.PREFACE, *sent):
            if not transport.closed:
                connection.data_received(data)
        await asyncio.sleep(0)
        connection.connection_lost(None)

    asyncio.run(take())
