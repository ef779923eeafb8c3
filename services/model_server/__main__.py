"""`python -m services.model_server`: the embedded TensorFlow Serving."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from prometheus_client import disable_created_metrics

from services.core.errors import TensorgateError
from services.core.pauses import shorten_pauses
from services.core.settings import logs_in_json
from services.core.signals import stop_on_signals
from services.core.telemetry import configure_logging
from services.core.tensorflow_settings import quiet_tensorflow, share_gpu, work_where_called
from services.model_server.server import Server
from services.model_server.settings import REFUSED, Settings, parse


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    server = Server(settings)
    started = asyncio.create_task(server.start(), name="start")
    stopped = asyncio.create_task(stop.wait(), name="stop")
    failed = asyncio.create_task(server.failed(), name="failed")
    try:
        await asyncio.wait({started, stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            print(json.dumps(started.result()), flush=True)
            await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
    finally:
        for task in (started, stopped, failed):
            task.cancel()
        await server.stop()


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; exit 255 when the flags or the first models do not allow a start."""
    settings = parse(sys.argv[1:])
    quiet_tensorflow(errors=False)
    share_gpu()
    work_where_called()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # TensorFlow Serving has none; the library's has no types
    try:
        configure_logging(in_json=logs_in_json())
        shorten_pauses()
        uvloop.run(_serve(settings))
    except TensorgateError as error:
        print(f"Failed to start server. Error: {error.code.name}: {error.message}", file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
