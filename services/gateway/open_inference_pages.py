"""Open Inference's pages, /v2: who answers, and which models with which tensors. They ask no model anything."""

from __future__ import annotations

import orjson
from starlette.requests import Request as Http
from starlette.responses import Response

from services.core.errors import Code
from services.gateway.bodies import parse_json, read_bytes, ref_of
from services.gateway.faults import CODE_KEY
from services.gateway.open_inference import Repository, server_metadata
from services.gateway.open_inference_schemas import IndexBody
from services.gateway.schemas import read_body

_INDEX_BYTES = 1000


class OpenInferencePages:
    """The endpoints."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def server(self, http: Http) -> Response:
        """Who answers."""
        return _json(server_metadata().model_dump())

    async def live(self, http: Http) -> Response:
        """The process answers."""
        return _json({"live": True})

    async def ready(self, http: Http) -> Response:
        """Ready for traffic, as /readyz has it."""
        ready = self._repository.ready
        http.scope[CODE_KEY] = Code.OK if ready else Code.UNAVAILABLE
        return _json({"ready": ready}, 200 if ready else 503)

    async def metadata(self, http: Http) -> Response:
        """The tensors of a model."""
        return _json(self._repository.metadata(ref_of(http)).model_dump())

    async def model_ready(self, http: Http) -> Response:
        """A version can be called now: an error if not."""
        return _json({"name": self._repository.find(ref_of(http)).name, "ready": True})

    async def list_models(self, http: Http) -> Response:
        """The names, as KServe lists them."""
        return _json({"models": self._repository.names})

    async def index(self, http: Http) -> Response:
        """All versions, as Triton's repository lists them."""
        given = await read_bytes(http, _INDEX_BYTES)
        asked = read_body(IndexBody, parse_json(given) if given else {})
        return _json([one.model_dump() for one in self._repository.index(ready=asked.ready)])


def _json(document: object, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
