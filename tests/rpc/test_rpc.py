"""Our server asked by gRPC's own client and by ours, and gRPC's own server asked by our client."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from services.core.errors import Code
from services.core.sockets import listen
from services.rpc import frames
from services.rpc.call import Call, Method, Rules
from services.rpc.client import Channel
from services.rpc.frames import Reason
from services.rpc.headers import PATH, literal
from services.rpc.messages import Status, prefixed
from services.rpc.server import Server
from services.rpc.server_connection import MOST_STREAMS

pytestmark = pytest.mark.anyio

MOST_BYTES = 10_000_000
UNBOUNDED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class Methods:
    """A few of each kind."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def echo(self, message: bytes, call: Call) -> bytes:
        call.trailing = (("x-path", call.path),)
        return message

    async def refuse(self, message: bytes, call: Call) -> bytes:
        call.trailing = (("x-why", "so"),)
        raise Status(Code.NOT_FOUND, "100 % är nö\n")

    async def fail(self, message: bytes, call: Call) -> bytes:
        raise ValueError("a secret")

    async def wait(self, message: bytes, call: Call) -> bytes:
        self.began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return message

    async def repeat(self, message: bytes, call: Call) -> AsyncIterator[bytes]:
        for _ in range(5):
            yield message

    async def talk(self, messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message.upper()

    def rules(self) -> Rules:
        unary = {f"/x/{one.__name__}": Method(unary=one) for one in (self.echo, self.refuse, self.fail, self.wait)}
        streams = {"/x/repeat": Method(streaming=self.repeat), "/x/talk": Method(talking=self.talk)}
        return Rules({**unary, **streams}, _admit, MOST_BYTES)


def _admit(call: Call) -> None:
    if (b"who", b"nobody") in call.metadata:
        raise Status(Code.UNAUTHENTICATED, "Nobody may ask")


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Methods, Server, str]]:
    methods = Methods()
    server = Server(methods.rules())
    port = await server.start(listen("127.0.0.1", 0))
    try:
        yield methods, server, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def theirs(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address, options=UNBOUNDED) as channel:
        yield channel


@asynccontextmanager
async def ours(address: str) -> AsyncIterator[Channel]:
    channel = Channel(address)
    try:
        yield channel
    finally:
        await channel.close()


async def ended(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 4_194_304, 9_000_000])
async def test_a_message_of_any_size_comes_back_by_either_client(size: int) -> None:
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with serving() as (_, _, address), theirs(address) as channel, ours(address) as own:
        call = channel.unary_unary("/x/echo")(message)
        assert await call == message
        assert ("x-path", "/x/echo") in tuple(await call.trailing_metadata())
        assert await own.unary("/x/echo", message, 30) == message


async def test_hundreds_of_calls_at_once_get_each_its_own_answer() -> None:
    asked = [b"%d" % number * (number % 7 * 9_000 + 1) for number in range(2 * MOST_STREAMS)]
    async with serving() as (_, _, address), theirs(address) as channel, ours(address) as own:
        echo = channel.unary_unary("/x/echo")
        assert await asyncio.gather(*(echo(one) for one in asked)) == asked
        for some in (asked[:MOST_STREAMS], asked[MOST_STREAMS:]):
            assert await asyncio.gather(*(own.unary("/x/echo", one, 30) for one in some)) == some


async def test_streams_come_whole_even_to_a_slow_reader() -> None:
    message = b"z" * 3_000_000
    async with serving() as (_, _, address), theirs(address) as channel:
        lengths = []
        repeat = channel.unary_stream("/x/repeat")
        async for reply in repeat(message):
            await asyncio.sleep(0.01)
            lengths.append(len(reply))
        assert lengths == [len(message)] * 5

        def words() -> Iterator[bytes]:
            yield from (b"one", b"two", b"three")

        assert [one async for one in channel.stream_stream("/x/talk")(words())] == [b"ONE", b"TWO", b"THREE"]


async def test_a_status_comes_with_its_text_and_metadata() -> None:
    async with serving() as (_, _, address), theirs(address) as channel, ours(address) as own:
        error = await ended(channel.unary_unary("/x/refuse")(b""))
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "100 % är nö\n")
        assert ("x-why", "so") in tuple(error.trailing_metadata())
        with pytest.raises(Status) as caught:
            await own.unary("/x/refuse", b"", 30)
        assert (caught.value.code, caught.value.text) == (Code.NOT_FOUND, "100 % är nö\n")


async def test_what_a_method_fails_with_stays_here(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (_, _, address), theirs(address) as channel:
        error = await ended(channel.unary_unary("/x/fail")(b""))
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "")
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("path", "message", "metadata", "code"),
    [
        ("/x/nothing", b"", (), grpc.StatusCode.UNIMPLEMENTED),
        ("/x/echo", bytes(MOST_BYTES + 1), (), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("/x/echo", bytes(MOST_BYTES), (("who", "nobody"),), grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_what_may_not_be_asked_is_refused(path: str, message: bytes, metadata: Any, code: Any) -> None:
    async with serving() as (_, _, address), theirs(address) as channel:
        assert (await ended(channel.unary_unary(path)(message, metadata=metadata))).code() is code
        assert await channel.unary_unary("/x/echo")(b"still there") == b"still there"


async def test_a_compressed_message_is_unpacked_but_no_bomb() -> None:
    async with serving() as (_, _, address), theirs(address) as channel:
        for way in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            echo = channel.unary_unary("/x/echo")
            assert await echo(bytes(100_000), compression=way) == bytes(100_000)
            bomb = await ended(echo(bytes(MOST_BYTES + 1), compression=way))
            assert bomb.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_call_that_is_given_up_ends_at_the_server() -> None:
    async with serving() as (methods, _, address), theirs(address) as channel, ours(address) as own:
        error = await ended(channel.unary_unary("/x/wait")(b"", timeout=0.2))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(methods.cancelled.wait(), 10)
        methods.cancelled.clear()
        with pytest.raises(Status) as caught:
            await own.unary("/x/wait", b"", 0.2)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        await asyncio.wait_for(methods.cancelled.wait(), 10)
        methods.cancelled.clear()
        methods.began.clear()
        call = asyncio.create_task(own.unary("/x/wait", b"", 30))
        await asyncio.wait_for(methods.began.wait(), 10)
        call.cancel()
        await asyncio.wait_for(methods.cancelled.wait(), 10)


async def test_a_call_that_was_given_up_is_no_work_for_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        async with serving() as (methods, _, address), ours(address) as channel:
            with pytest.raises(Status):
                await channel.unary("/x/wait", b"", 0.1)
            await asyncio.wait_for(methods.cancelled.wait(), 10)
            async with asyncio.timeout(5):
                while any(isinstance(one, Call) for one in gc.get_objects()):
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_a_server_that_stops_lets_calls_end_and_then_cuts_them() -> None:
    async with serving() as (methods, server, address), ours(address) as own, theirs(address) as channel:
        assert await own.unary("/x/echo", b"", 30) == b""
        waiting = asyncio.create_task(own.unary("/x/wait", b"", 30))
        await asyncio.wait_for(methods.began.wait(), 10)
        streaming = channel.unary_stream("/x/repeat")(b"q")
        assert [one async for one in streaming] == [b"q"] * 5
        await server.stop(0.2)
        with pytest.raises(Status) as caught:
            await waiting
        assert caught.value.code is Code.UNAVAILABLE
        with pytest.raises(Status, match="Could not connect"):
            await own.unary("/x/echo", b"", 30)


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    size = 3_000_000
    block = b"\x83\x86" + literal(PATH, b"/x/repeat") + literal(b"content-type", b"application/grpc")
    async with serving() as (_, server, address):
        with raw(address) as connection:
            connection.sendall(frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31 - 1}))
            connection.sendall(frames.window_update(0, 2**30) + frames.frame(frames.HEADERS, 4, 1, block))
            whole = prefixed(bytes(size))
            for at in range(0, len(whole), 60_000):
                piece = whole[at : at + 60_000]
                last = frames.END_STREAM if at + 60_000 >= len(whole) else 0
                await asyncio.to_thread(connection.sendall, frames.frame(frames.DATA, last, 1, piece))
            await asyncio.sleep(0.2)  # for the answer to fill what is between us
            await asyncio.wait_for(server.stop(0.1), 10)


async def test_our_client_asks_grpcs_own_server() -> None:
    async def echo(message: bytes, context: Any) -> bytes:
        return message

    async def refuse(message: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.ABORTED, "nö")
        return message

    handlers: dict[str, Any] = {one.__name__: grpc.unary_unary_rpc_method_handler(one) for one in (echo, refuse)}
    server = grpc.aio.server(options=UNBOUNDED)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with ours(f"127.0.0.1:{port}") as own:
            for message in (b"", b"a", bytes(9_000_000)):
                assert await own.unary("/x/echo", message, 30) == message
            for path, code in (("/x/refuse", Code.ABORTED), ("/x/nothing", Code.UNIMPLEMENTED)):
                with pytest.raises(Status) as caught:
                    await own.unary(path, b"", 30)
                assert caught.value.code is code
    finally:
        await server.stop(0)


@contextmanager
def raw(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def _everything(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


NONSENSE = {
    "a frame too large": (frames.PREFACE + b"\xff\xff\xff" + bytes(6), Reason.FRAME_SIZE_ERROR),
    "data of no stream": (frames.PREFACE + frames.frame(frames.DATA, 0, 1, b"x"), Reason.PROTOCOL_ERROR),
    "an even stream": (frames.PREFACE + frames.frame(frames.HEADERS, 4, 2, b"\x83"), Reason.PROTOCOL_ERROR),
    "headers of no table": (frames.PREFACE + frames.frame(frames.HEADERS, 4, 1, b"\xff\xff"), Reason.COMPRESSION_ERROR),
    "a ping of seven bytes": (frames.PREFACE + frames.frame(frames.PING, 0, 0, bytes(7)), Reason.FRAME_SIZE_ERROR),
    "a push": (frames.PREFACE + frames.frame(frames.PUSH_PROMISE, 0, 1, bytes(4)), Reason.PROTOCOL_ERROR),
    "no more room": (frames.PREFACE + frames.window_update(0, 2**31 - 1), Reason.FLOW_CONTROL_ERROR),
    "endless headers": (
        frames.PREFACE
        + frames.frame(frames.HEADERS, 0, 1, bytes(60_000))
        + frames.frame(frames.CONTINUATION, 0, 1, bytes(60_000)),
        Reason.ENHANCE_YOUR_CALM,
    ),
    "headers cut by another frame": (
        frames.PREFACE + frames.frame(frames.HEADERS, 0, 1, b"\x83") + frames.frame(frames.PING, 0, 0, bytes(8)),
        Reason.PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_who_does_not_speak_http_2_is_told_why_and_hung_up_on(name: str) -> None:
    sent, reason = NONSENSE[name]
    async with serving() as (_, _, address), ours(address) as own:
        with raw(address) as connection:
            connection.sendall(sent)
            answer = await asyncio.to_thread(_everything, connection)
        assert frames.goaway(0, reason)[3:9] in answer
        assert reason.to_bytes(4, "big") in answer
        assert b"Received" in answer and b" at 0x" not in answer
        assert await own.unary("/x/echo", b"the others", 30) == b"the others"


async def test_a_request_ends_once_and_is_no_longer_than_it_says() -> None:
    block = b"\x83\x86" + literal(PATH, b"/x/wait") + literal(b"content-type", b"application/grpc")
    head = frames.PREFACE + frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    last = frames.frame(frames.DATA, frames.END_STREAM, 1, prefixed(b""))
    async with serving() as (_, _, address):
        with raw(address) as connection:
            connection.sendall(head + last + last)
            answer = await asyncio.to_thread(_everything, connection)
        assert Reason.STREAM_CLOSED.to_bytes(4, "big") + b"Nothing follows" in answer
        with raw(address) as connection:
            connection.sendall(head + frames.frame(frames.DATA, 0, 1, prefixed(b"") + b"and more"))
            answer = b""
            while b"takes one message" not in answer:
                answer += (part := await asyncio.to_thread(connection.recv, 65_536))
                assert part, answer


async def test_nothing_follows_the_status_of_a_stream_that_was_sent_too_much() -> None:
    block = b"\x83\x86" + literal(PATH, b"/x/talk") + literal(b"content-type", b"application/grpc")
    head = frames.PREFACE + frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    pong = frames.frame(frames.PING, frames.ACK, 0, bytes(8))
    async with serving() as (_, _, address):
        with raw(address) as connection:
            connection.sendall(head + frames.frame(frames.DATA, 0, 1, prefixed(b"word") * 100))
            await asyncio.sleep(0.1)  # in which the method would answer what it has
            connection.sendall(frames.frame(frames.PING, 0, 0, bytes(8)))
            answer = b""
            while pong not in answer:
                answer += await asyncio.to_thread(connection.recv, 65_536)
    assert b"messages wait to be read" in answer and b"WORD" not in answer


async def test_an_error_that_is_told_a_thousand_times_is_a_new_one_each_time() -> None:
    async with serving() as (_, _, address), ours(address) as own:
        told: list[Status] = []
        for _ in range(3):
            with pytest.raises(Status) as caught:
                await own.unary("/x/refuse", b"", 30)
            told.append(caught.value)
        assert len({id(one) for one in told}) == 3


async def test_hundreds_may_come_while_the_server_is_busy() -> None:
    async with serving() as (_, _, address):
        host, port = address.split(":")
        clients = [socket.socket() for _ in range(500)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex((host, int(port)))
        time.sleep(0.1)  # the server's loop is this one, and takes nobody meanwhile
        waiting = sum(client.connect_ex((host, int(port))) == errno.EALREADY for client in clients)
        for client in clients:
            client.close()
        assert not waiting


async def test_http_1_is_told_what_this_port_speaks() -> None:
    async with serving() as (_, _, address):
        with raw(address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = await asyncio.to_thread(_everything, connection)
            assert answer.startswith(b"HTTP/1.1 400 ") and b"speaks gRPC" in answer
