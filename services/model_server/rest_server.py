"""The HTTP server under the REST door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from services.model_server.rest import RestApp

_MAX_CONCURRENT_REQUESTS = 1024
_GRACE_SECONDS = 5


class RestServer(uvicorn.Server):
    """uvicorn as one part of a process: signals belong to `__main__`."""

    def __init__(self, app: RestApp) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_MAX_CONCURRENT_REQUESTS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield
