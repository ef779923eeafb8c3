"""`python -m services.mirror`: settings from TENSORGATE_MIRROR_*; a JSON line when it has begun."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress

from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.settings import logs_in_json, read_settings
from services.core.telemetry import configure_logging
from services.mirror.cache import Cache
from services.mirror.folder import MirrorFolder
from services.mirror.metrics import MirrorMetrics
from services.mirror.mirror import Mirror
from services.mirror.model_server import ModelServer
from services.mirror.pages import Address, serve_pages
from services.mirror.settings import MirrorSettings
from services.mirror.wishes import Choice
from services.store import Store, open_store


async def run(settings: MirrorSettings, store: Store) -> None:
    """Mirror `store` until told to stop, and end the process."""
    registry = CollectorRegistry()
    metrics = MirrorMetrics(registry)
    cache = Cache(settings.cache or settings.folder / ".cache", settings.disk_bytes, metrics.cache)
    model_server = ModelServer(settings.model_server)
    mirror = Mirror(
        store=store,
        folder=MirrorFolder(settings.folder, cache),
        model_server=model_server,
        metrics=metrics,
        grace_seconds=settings.grace_seconds,
        clock=time.monotonic,
        wall=time.time,
        models=Choice(settings.only, settings.without),
    )
    port = settings.metrics_port
    if port is not None:
        port = serve_pages(Address(settings.host, port), registry, lambda: mirror.ready)
    running = asyncio.create_task(mirror.run(settings.poll_seconds), name="mirror")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    print(json.dumps({"folder": str(settings.folder), "metrics_port": port}), flush=True)
    with suppress(asyncio.CancelledError):
        await running
    await model_server.close()
    logging.shutdown()
    os._exit(0)  # a thread may be downloading for minutes yet; the next start removes what it leaves


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    try:
        configure_logging(in_json=logs_in_json())
        settings = read_settings(MirrorSettings)
        asyncio.run(run(settings, open_store(settings.store)))
    except (FailedPrecondition, InvalidArgument, ValidationError) as error:
        sys.exit(f"tensorgate mirror: {error}")


if __name__ == "__main__":
    main()
