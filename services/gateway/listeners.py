"""The ports of the gateway: opened once, by this process or by the one that starts its workers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from services.core.errors import FailedPrecondition
from services.core.sockets import address_of, hold, listen, listen_shared
from services.gateway.settings import GatewaySettings


@dataclass(frozen=True)
class Ports:
    """Where the gateway listens; `operations_port` None: probes and metrics are on the HTTP port."""

    http_port: int
    grpc_port: int
    operations_port: int | None


@dataclass(frozen=True)
class Listeners:
    """Sockets that listen: for HTTP and, where it is on a port of its own, for operations.

    Several workers have a socket each, on one port, and `neighbours` are those of the others. gRPC's server opens its
    port itself: `grpc`, 0 for a free one; where it is `shared`, together with other workers.
    """

    http: socket.socket
    operations: socket.socket | None
    grpc: int
    shared: bool = False
    neighbours: Sequence[socket.socket] = ()

    def ports(self, grpc_port: int) -> Ports:
        """Where we listen, once gRPC does."""
        return Ports(_port(self.http), grpc_port, None if self.operations is None else _port(self.operations))

    def close(self) -> None:
        """Take no more connections, unless another process has these sockets, too."""
        for listener in (self.http, self.operations, *self.neighbours):
            if listener is not None:
                listener.close()


@contextmanager
def open_listeners(settings: GatewaySettings) -> Iterator[Listeners]:
    """Listen. Raises FailedPrecondition for a port that is taken, and where nobody has said who may ask.

    For workers ports are held: nobody else gets them, and they share them.
    """
    settings.check_address()
    with ExitStack() as stack:

        def opened(open_port: Callable[[str, int], socket.socket], port: int) -> socket.socket:
            try:
                return stack.enter_context(open_port(settings.http_host, port))
            except OSError as error:
                raise port_taken(settings.http_host, port, error) from error

        operations = None if settings.operations_port is None else opened(listen, settings.operations_port)
        if settings.workers == 1:
            yield Listeners(opened(listen, settings.http_port), operations, settings.grpc_port)
        else:
            http, grpc = (_port(opened(hold, port)) for port in (settings.http_port, settings.grpc_port))
            first, *others = (opened(listen_shared, http) for _ in range(settings.workers))
            yield Listeners(first, operations, grpc, shared=True, neighbours=others)


def port_taken(host: str, port: int, error: Exception) -> FailedPrecondition:
    """Somebody else listens there, or the address is none of this machine."""
    where = address_of(host, port)
    return FailedPrecondition(f"The gateway listens on ports of its own. Received: {where}, and there: {error}")


def _port(bound: socket.socket) -> int:
    number: int = bound.getsockname()[1]
    return number
