"""Runs the gateway: builds every part, listens on both ports, stops without losing a request."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import grpc.aio
import uvicorn
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from services.core.errors import FailedPrecondition
from services.core.sockets import listen
from services.core.tfs_methods import MODEL, PREDICTION
from services.gateway.admission import Admission, Limits
from services.gateway.app import Doors, OpenInference, create_app
from services.gateway.backend import Backend, open_channel
from services.gateway.batcher import Batcher, BatchLimits
from services.gateway.edge import Edge
from services.gateway.gate import GrpcGate
from services.gateway.grpc_calls import GrpcCalls
from services.gateway.grpc_messages import Reading
from services.gateway.health import INFERENCE, OPEN_INFERENCE_SERVICE, Health
from services.gateway.keyring import Keyring
from services.gateway.metrics import Metrics
from services.gateway.open_inference import Repository
from services.gateway.open_inference_grpc import OpenInferenceGrpc
from services.gateway.open_inference_infer import OpenInferenceInfer
from services.gateway.open_inference_pages import OpenInferencePages
from services.gateway.open_inference_rest import OpenInferenceRest
from services.gateway.openai_images import OpenAiImages
from services.gateway.openai_rest import Chance, OpenAiRest
from services.gateway.pages import Pages
from services.gateway.plane import DataPlane
from services.gateway.router import Router
from services.gateway.routing_table import RoutingTable
from services.gateway.settings import GatewaySettings
from services.gateway.tfs_grpc import TfsGrpc
from services.gateway.tfs_rest import TfsRest
from services.gateway.typed_grpc import Inference
from services.gateway.typed_rest import TypedRest
from services.store import Store
from services.stubs.inference import open_inference_pb2_grpc
from services.stubs.tensorgate.v1 import inference_pb2_grpc

_LAST_ANSWER_SECONDS = 0.3  # a call that has ended still has its answer on the way


@dataclass(frozen=True)
class Ports:
    """Where the gateway listens."""

    http_port: int
    grpc_port: int


class Gateway:
    """All parts of one gateway process. Build it inside the event loop that runs it."""

    def __init__(self, settings: GatewaySettings, store: Store, registry: CollectorRegistry) -> None:
        settings.check_address()
        self._settings = settings
        self._metrics = Metrics(registry)
        clock = asyncio.get_running_loop().time
        self._keyring = None if settings.keys is None else Keyring(settings.keys, clock)
        self._health = Health(tells_models=self._keyring is None)
        self._channel = open_channel(settings.model_server)
        backend = Backend(self._channel)
        self._router = Router(store, backend, self._tell)
        limits = Limits(settings.instances, settings.pixels)
        admission = Admission(limits, clock)
        plane = DataPlane(admission, self._router, Batcher(backend.predict, BatchLimits(), self._metrics.call))
        typed = TypedRest(plane, settings.body_bytes, settings.timeout_seconds)
        tfs = TfsRest(plane, backend, body_bytes=settings.body_bytes, seconds=settings.timeout_seconds)
        chance = Chance(seed=lambda: secrets.randbits(63), clock=time.time)
        openai = OpenAiRest(
            plane, self._table, chance, body_bytes=settings.body_bytes, seconds=settings.timeout_seconds
        )
        images = OpenAiImages(plane, chance, body_bytes=settings.body_bytes, seconds=settings.timeout_seconds)
        repository = Repository(self._table, self._health)
        open_inference = OpenInference(
            OpenInferenceInfer(plane, settings.body_bytes, settings.timeout_seconds),
            OpenInferenceRest(plane, settings.body_bytes, settings.timeout_seconds),
            OpenInferencePages(repository),
        )
        pages = Pages(self._table, self._health, registry)
        self._app = create_app(Doors(typed, tfs, openai, images, open_inference, pages), self._keyring)
        self._calls = GrpcCalls(self._metrics, settings.timeout_seconds)
        self._inference = Inference(plane, self._table, self._calls)
        self._open_inference = OpenInferenceGrpc(plane, repository, self._calls)
        self._tfs = TfsGrpc(plane, backend, self._calls, settings.body_bytes)

    def _table(self) -> RoutingTable:
        return self._router.table

    async def _tell(self, table: RoutingTable) -> None:
        self._metrics.models(frozenset(table.models), table.reachable)
        await self._health.tell(table)

    async def run(self, stop: asyncio.Event, listening: Callable[[Ports], None]) -> None:
        """Serve until `stop` is set, then drain: health first, then no new connections, then running requests end."""
        http = self._http_server()
        rpc, grpc_port = self._grpc_server()
        with _listen(self._settings.http_host, self._settings.http_port) as port:
            await rpc.start()
            serving = asyncio.create_task(http.serve([port]))
            polling = asyncio.create_task(self._router.run(self._settings.poll_seconds))
            stopping = asyncio.create_task(stop.wait())
            listening(Ports(port.getsockname()[1], grpc_port))
            await asyncio.wait((stopping, serving, polling), return_when=asyncio.FIRST_COMPLETED)
            await self._health.drain()
            http.should_exit = True
            await asyncio.gather(self._drain(rpc), serving)
        for task in (polling, stopping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._channel.close()

    async def _drain(self, rpc: grpc.aio.Server) -> None:
        """Let running calls end. Those who watch our health would watch for ever, so they are cut when we are idle."""
        stopped = asyncio.create_task(rpc.stop(self._settings.drain_seconds))
        idle = asyncio.create_task(self._calls.idle.wait())
        await asyncio.wait((stopped, idle), return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await rpc.stop(_LAST_ANSWER_SECONDS)
        await stopped

    def _http_server(self) -> uvicorn.Server:
        config = uvicorn.Config(
            Edge(self._app, self._metrics, self._settings.access_log),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(self._settings.drain_seconds) or 1,
        )
        return _HttpServer(config)

    def _grpc_server(self) -> tuple[grpc.aio.Server, int]:
        bound = self._settings.body_bytes
        server = grpc.aio.server(
            interceptors=() if self._keyring is None else (GrpcGate(self._keyring, self._metrics),),
            options=(
                ("grpc.max_receive_message_length", bound),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # a port that is taken is an error, not shared
            ),
        )
        reading = Reading(server, self._calls)
        inference_pb2_grpc.add_InferenceServicer_to_server(self._inference, reading)  # type: ignore[no-untyped-call]  # generated code
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self._open_inference, reading)  # type: ignore[no-untyped-call]  # generated code
        server.add_generic_rpc_handlers((self._tfs,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        services = (INFERENCE, PREDICTION, MODEL, OPEN_INFERENCE_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(services, server)
        host, port = self._settings.http_host, self._settings.grpc_port
        try:
            return server, server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise _port_taken(host, port, error) from error


class _HttpServer(uvicorn.Server):
    """Leaves signals to `Gateway.run`, which has two servers to stop and health to flip first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = listen(host, port)
    except OSError as error:
        raise _port_taken(host, port, error) from error
    with listener:
        yield listener


def _port_taken(host: str, port: int, error: Exception) -> FailedPrecondition:
    return FailedPrecondition(f"The gateway listens on ports of its own. Received: {host}:{port}, and there: {error}")


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C set `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
