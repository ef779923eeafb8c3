"""A tiny name server: whatever is asked, the addresses of this moment (DNS over UDP, RFC 1035)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_A, _IN = 1, 1
_ANSWER, _POINTER = 0x8180, 0xC00C  # a response that was found; a pointer to the question's name


@dataclass
class Names(asyncio.DatagramProtocol):
    """Every name has the addresses in `addresses`; a question for other records gets none."""

    addresses: list[str] = field(default_factory=list)
    asked: int = 0
    _transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Answer."""
        end = data.index(b"\0", 12) + 5
        question, (kind,) = data[12:end], struct.unpack("!H", data[end - 4 : end - 2])
        self.asked += kind == _A
        found = [socket.inet_aton(one) for one in self.addresses] if kind == _A else []
        head = data[:2] + struct.pack("!HHHHH", _ANSWER, 1, len(found), 0, 0)
        records = (struct.pack("!HHHIH", _POINTER, _A, _IN, 0, len(one)) + one for one in found)
        self._transport.sendto(head + question + b"".join(records), address)


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[tuple[Names, str]]:
    """The server, and its authority in gRPC's names: dns://AUTHORITY/NAME:PORT."""
    transport, names = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Names(list(addresses)), local_addr=("127.0.0.1", 0)
    )
    try:
        host, port = transport.get_extra_info("sockname")[:2]
        yield names, f"{host}:{port}"
    finally:
        transport.close()
