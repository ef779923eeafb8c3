"""The mirror's pages: metrics for Prometheus, and the probes of the pod that it shares with the model server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app


class Address(NamedTuple):
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


def serve_pages(address: Address, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> int:
    """Serve in a thread until the process ends; the port. Raises OSError where it is taken.

    `/livez` says that the process runs, `/readyz` whether requests shall come to the model server, any other path tells
    the metrics.
    """
    metrics = make_wsgi_app(registry)

    def answer(request: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match request["PATH_INFO"]:
            case "/livez":
                return _say({"live": True}, True, start)
            case "/readyz":
                ready = is_ready()
                return _say({"ready": ready}, ready, start)
        page: Iterable[bytes] = metrics(request, start)
        return page

    server = make_server(*address, answer, _Server, _Handler)
    threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server.server_port


def _say(document: object, well: bool, start: StartResponse) -> Iterable[bytes]:
    start("200 OK" if well else "503 Service Unavailable", [("Content-Type", "application/json")])
    return [json.dumps(document).encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address: Any, handler: Any) -> None:
        self.address_family = socket.getaddrinfo(*address)[0][0]
        super().__init__(address, handler)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A probe every few seconds is no news."""
