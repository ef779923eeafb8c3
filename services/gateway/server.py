"""Runs the gateway: builds every part, listens on both ports, stops without losing a request."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from services.core.errors import InvalidArgument
from services.core.sockets import listen, listen_shared
from services.core.tfs_methods import MODEL, PREDICTION
from services.gateway.admission import Admission, Limits
from services.gateway.app import create_app, operations_app
from services.gateway.backend import Backend
from services.gateway.backends import Backends, CallRules
from services.gateway.batcher import Batcher, BatchLimits
from services.gateway.edge import Edge
from services.gateway.gate import GrpcGate
from services.gateway.gauges import Gauges, Load
from services.gateway.grpc_calls import GrpcCalls
from services.gateway.health import INFERENCE, OPEN_INFERENCE_SERVICE, Health
from services.gateway.keyring import Keyring
from services.gateway.listeners import Listeners, Ports, port_taken
from services.gateway.metrics import Metrics
from services.gateway.open_inference import Repository
from services.gateway.open_inference_grpc import OpenInferenceGrpc
from services.gateway.open_inference_infer import OpenInferenceInfer
from services.gateway.open_inference_pages import OpenInferencePages
from services.gateway.open_inference_rest import OpenInferenceRest
from services.gateway.openai_images import OpenAiImages
from services.gateway.openai_rest import Chance, OpenAiRest
from services.gateway.operations import Doors, OpenInference
from services.gateway.pages import Pages
from services.gateway.plane import DataPlane
from services.gateway.predictions import Predictions
from services.gateway.router import Router
from services.gateway.routing_table import RoutingTable
from services.gateway.settings import GatewaySettings
from services.gateway.tfs_grpc import TfsGrpc
from services.gateway.tfs_rest import TfsRest
from services.gateway.typed_grpc import Inference
from services.gateway.typed_rest import TypedRest
from services.http import server as http
from services.rpc.call import Call, Method, Rules
from services.rpc.health import HEALTH
from services.rpc.reflection import reflection
from services.rpc.server import Server
from services.rpc.services import methods_of
from services.store import Store
from services.stubs.inference import open_inference_pb2
from services.stubs.tensorgate.v1 import inference_pb2

if TYPE_CHECKING:
    from services.gateway.spans import Tracing

_FIRST_TABLE_SECONDS = 5.0
_LAST_ANSWER_SECONDS = 0.3  # a call that has ended still has its answer on the way


class Gateway:
    """All parts of one gateway process. Build it inside the event loop that runs it.

    It counts in `registry`; `/metrics` shows that, or `shown`, the sum over several workers. With
    `tracing` each request has a trace.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        store: Store,
        registry: CollectorRegistry,
        *,
        shown: CollectorRegistry | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = Metrics(registry)
        self._gauges = Gauges(registry)
        self._predictions = Predictions(registry)
        self._told = asyncio.Event()
        clock = asyncio.get_running_loop().time
        self._keyring = None if settings.keys is None else Keyring(settings.keys, clock, settings.workers)
        self._health = Health(tells_models=self._keyring is None)
        self._servers = [Backend(address) for address in settings.servers]
        rules = CallRules(max(settings.server_calls // settings.workers, 1), settings.hedge_seconds)
        backends = self._backends = Backends(self._servers, rules, metrics=self._metrics, luck=random.random)
        self._router = Router(store, self._servers, self._tell, rare=settings.rare)
        limits = Limits(settings.instances, settings.pixels)
        admission = Admission(limits, clock)
        predict = self._predictions.counted(backends.predict)
        self._batcher = Batcher(predict, BatchLimits(settings.batch_rows), self._metrics)
        plane = DataPlane(admission, self._router, self._batcher, metrics=self._metrics)
        typed = TypedRest(plane, settings.body_bytes, settings.timeout_seconds)
        tfs = TfsRest(plane, backends, body_bytes=settings.body_bytes, seconds=settings.timeout_seconds)
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
        self._pages = Pages(self._table, self._health, registry if shown is None else shown)
        doors = Doors(typed, tfs, openai, images, open_inference, self._pages)
        app = create_app(doors, self._keyring, tracing, probes=settings.operations_port is None)
        self._edge = Edge(app, self._metrics, settings.access_log)
        self._admit = _anyone if self._keyring is None else GrpcGate(self._keyring, self._metrics).admit
        self._calls = GrpcCalls(self._metrics, settings.timeout_seconds, tracing)
        self._inference = Inference(plane, self._table, self._calls)
        self._open_inference = OpenInferenceGrpc(plane, repository, self._calls)
        self._tfs = TfsGrpc(plane, backends, self._calls, settings.body_bytes)

    def _table(self) -> RoutingTable:
        return self._router.table

    async def _tell(self, table: RoutingTable) -> None:
        self._metrics.models(frozenset(table.models))
        self._backends.tell(table.servers)
        self._gauges.table(table)
        self._gauges.asked(self._router.asked)
        self._predictions.table(table)
        self._gauges.servers(table.servers, self._backends.samples())
        running = {"http": self._edge.running, "grpc": self._calls.running}
        self._gauges.load(Load(running, self._batcher.queued()))
        self._health.tell(table)
        self._told.set()

    async def run(self, listeners: Listeners, stop: asyncio.Event, listening: Callable[[Ports], None]) -> None:
        """Serve until `stop` is set, then drain: health first, then no new connections, then running requests end."""
        polling = asyncio.create_task(self._router.run(self._settings.poll_seconds))
        stopping = asyncio.create_task(stop.wait())
        if listeners.shared:  # other workers answer; we do when we know of what
            await self._first_table(stopping)
        rpc, doors, operations = (
            Server(self._rules()),
            http.Server(self._edge),
            http.Server(operations_app(self._pages)),
        )
        grpc_port = await rpc.start(self._grpc_listener(listeners))
        await doors.start(listeners.http, listeners.neighbours)
        if listeners.operations is not None:
            await operations.start(listeners.operations)
        listening(listeners.ports(grpc_port))
        await asyncio.wait((stopping, polling), return_when=asyncio.FIRST_COMPLETED)
        self._health.drain()
        await asyncio.gather(self._drain(rpc), doors.stop(self._settings.drain_seconds))
        await operations.stop(_LAST_ANSWER_SECONDS)  # last: until now it has said that we are not ready
        for task in (polling, stopping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for server in self._servers:
            await server.close()

    async def _first_table(self, stopping: asyncio.Task[Any]) -> None:
        """Return when it is known which models there are, or after a while without."""
        told = asyncio.create_task(self._told.wait())
        await asyncio.wait((told, stopping), timeout=_FIRST_TABLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()

    async def _drain(self, rpc: Server) -> None:
        """Let running calls end. Those who watch our health would watch for ever, so they are cut when we are idle."""
        stopped = asyncio.create_task(rpc.stop(self._settings.drain_seconds))
        idle = asyncio.create_task(self._calls.idle.wait())
        await asyncio.wait((stopped, idle), return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await rpc.stop(_LAST_ANSWER_SECONDS)
        await stopped

    def _grpc_listener(self, listeners: Listeners) -> socket.socket:
        host, port = self._settings.http_host, listeners.grpc
        try:
            return listen_shared(host, port) if listeners.shared else listen(host, port)
        except OSError as error:
            raise port_taken(host, port, error) from error

    def _rules(self) -> Rules:
        inference, open_inference = (
            next(iter(file.DESCRIPTOR.services_by_name.values())) for file in (inference_pb2, open_inference_pb2)
        )
        services = (INFERENCE, PREDICTION, MODEL, OPEN_INFERENCE_SERVICE, HEALTH.full_name)
        methods: dict[str, Method] = {
            **methods_of(inference, self._inference, self._unreadable),
            **methods_of(open_inference, self._open_inference, self._unreadable),
            **methods_of(HEALTH, self._health.servicer, self._unreadable),
            **self._tfs.methods,
            **reflection(services),
        }
        return Rules(methods, self._admit, self._settings.body_bytes)

    async def _unreadable(self, call: Call, size: int) -> None:
        """The client's fault, counted as any other."""
        async with self._calls.answering(call, ("grpc", "unreadable"), ""):
            raise InvalidArgument(f"{call.path} takes its message. Received: {size} bytes that are none")


def _anyone(call: Call) -> None:
    """Where no keys are set."""
