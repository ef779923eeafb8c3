"""The whole server, put together from its settings."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services.core.errors import InvalidArgument, TensorgateError, Unavailable
from services.core.sockets import listen
from services.core.tfs import model_server_config_pb2
from services.http import server as http
from services.model_server.config import read_metrics_path, read_model_config_file, single_model
from services.model_server.grpc_server import build_server
from services.model_server.manager import Manager, RetryPolicy
from services.model_server.metrics import Metrics
from services.model_server.model_service import ModelService
from services.model_server.prediction_service import PredictionService
from services.model_server.rest import RestApp, RestOptions
from services.model_server.runner import Runner
from services.model_server.servable import Servable
from services.model_server.server_core import CoreOptions, ServerCore
from services.model_server.settings import Settings, cores
from services.model_server.warmup import warm_up
from services.rpc import server as rpc

log = logging.getLogger(__name__)

_FEWEST_THREADS = 4
_GRACE_SECONDS = 5.0
_MOST_REQUESTS = 1024  # over REST; waiting requests are bounded by it


class VersionLoader:
    """Loads and warms up one version. TensorFlow is imported in the background: it takes seconds."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    def import_tensorflow(self) -> None:
        """Have the import done before the first model comes; a server without models answers meanwhile."""
        from services.model_server import loader  # noqa: F401 - the import is what is wanted

    def __call__(self, name: str, number: int, folder: Path) -> Servable:
        from services.model_server.loader import SavedModelLoader, read_records

        session, signatures = SavedModelLoader(self._settings.tensorflow_intra_op_parallelism).load(folder)
        threads = self._settings.tensorflow_inter_op_parallelism or max(_FEWEST_THREADS, cores())
        servable = Servable(session, signatures, threads, number)
        started = time.perf_counter()
        try:
            if warm_up(servable, folder, read_records):
                elapsed = (time.perf_counter() - started) * 1e6
                self._metrics.warmup_latency.labels(str(folder), "OK").observe(elapsed)
        except TensorgateError:
            servable.unload()
            raise
        return servable


class Server:
    """Core, doors and the tasks that keep them going."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics(CollectorRegistry())
        retry = RetryPolicy(settings.max_num_load_retries, settings.load_retry_interval_micros / 1e6)
        self._loader = VersionLoader(settings, self._metrics)
        self._manager = Manager(self._loader, retry)
        options = CoreOptions(
            settings.file_system_poll_wait_seconds, settings.allow_version_labels_for_unavailable_models
        )
        self._core = ServerCore(self._manager, options)
        self._models = ModelService(self._core)
        self._grpc: rpc.Server | None = None
        self._rest: http.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def failed(self) -> None:
        """Wait until a background task breaks, and raise what it raised."""
        await self._failed

    def _keep_going(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._report)
        self._tasks.append(task)

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def start(self) -> Mapping[str, int]:
        """Load the first models, then open the ports; returns them by name.

        Raises InvalidArgument for a config that cannot be read, ModelsUnavailable, or Unavailable for a port in use.
        """
        self._keep_going(asyncio.to_thread(self._loader.import_tensorflow), "import")
        self._keep_going(self._core.watch(), "watch")
        await self._core.reload(_first_config(self._settings), noun="servable")
        if self._settings.model_config_file is not None and self._settings.model_config_file_poll_wait_seconds > 0:
            self._keep_going(self._watch_config(self._settings.model_config_file), "config")
        runner = Runner(self._core, self._metrics)
        ports = {"grpc_port": await self._open_grpc(runner)}
        if self._settings.rest_api_port >= 0:
            ports["rest_port"] = await self._open_rest(runner)
        return ports

    async def _watch_config(self, file: Path) -> None:
        """Take over the config file whenever it has changed; one that cannot be read changes nothing."""
        known = await asyncio.to_thread(file.read_bytes)
        while True:
            await asyncio.sleep(self._settings.model_config_file_poll_wait_seconds)
            try:
                text = await asyncio.to_thread(file.read_bytes)
                if text != known:
                    known = text
                    await self._core.reload(read_model_config_file(file))
            except (OSError, TensorgateError) as error:
                log.error("The model config file was not taken over: %s", error)

    async def _open_grpc(self, runner: Runner) -> int:
        settings = self._settings
        prediction = PredictionService(self._core, runner, settings.enable_signature_method_name_check)
        self._grpc = build_server(prediction, self._models, settings.enable_grpc_healthcheck_service)
        return await self._grpc.start(_listener(settings.host, settings.port))

    async def _open_rest(self, runner: Runner) -> int:
        settings = self._settings
        options = RestOptions(
            timeout_seconds=settings.rest_api_timeout_in_ms / 1e3,
            cors=settings.rest_api_enable_cors_support,
            metrics_path=read_metrics_path(settings.monitoring_config_file),
            check_method=settings.enable_signature_method_name_check,
        )
        listener = _listener(settings.host, settings.rest_api_port)
        self._rest = http.Server(RestApp(self._core, runner, self._metrics, options), _MOST_REQUESTS)
        await self._rest.start(listener)
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Finish what was begun, close the ports, unload every model."""
        if self._rest is not None:
            await self._rest.stop(_GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._models.close()
        if self._grpc is not None:
            await self._grpc.stop(_GRACE_SECONDS)
        await self._manager.close()
        self._failed.cancel()


def _listener(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise Unavailable(f"Could not listen on {host}:{port}") from error


def _first_config(settings: Settings) -> model_server_config_pb2.ModelServerConfig:
    if settings.model_config_file is not None:
        return read_model_config_file(settings.model_config_file)
    if settings.model_base_path is not None:
        return single_model(settings.model_name or "default", settings.model_base_path)
    if settings.model_name is not None:
        raise InvalidArgument("Both server_options.model_base_path and server_options.model_config_file are empty!")
    empty = model_server_config_pb2.ModelServerConfig()
    empty.model_config_list.SetInParent()
    return empty
