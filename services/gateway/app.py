"""The HTTP application: all doors and pages on one FastAPI app, wired and documented here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from services.core.errors import TensorgateError
from services.gateway import open_inference_schemas as open_inference
from services.gateway import openai_schemas, schemas
from services.gateway.faults import OPEN_INFERENCE, OPENAI, OPERATION_KEY, answer_error, answer_http_error
from services.gateway.gate import Gate
from services.gateway.hot_paths import Endpoint, HotPaths
from services.gateway.keyring import Keyring
from services.gateway.open_inference_infer import OCTETS, OpenInferenceInfer
from services.gateway.open_inference_pages import OpenInferencePages
from services.gateway.open_inference_rest import OpenInferenceRest
from services.gateway.openai_images import OpenAiImages
from services.gateway.openai_rest import OpenAiRest
from services.gateway.pages import Pages
from services.gateway.tfs_rest import TfsRest
from services.gateway.typed_rest import TypedRest

_ASK, _TFS, _MODELS, _OPERATE = "rest", "tfs", "models", "operations"
_REF_FORMS = ("", "/labels/{label}", "/versions/{version}")
# The bodies of errors that are not ours; TensorFlow Serving's has Open Inference's form.
_FAULTS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        _TFS: open_inference.OpenInferenceFault,
        OPEN_INFERENCE: open_inference.OpenInferenceFault,
        OPENAI: openai_schemas.OpenAiFaultReply,
    }
)


class PlainRoute(APIRoute):
    """Documented by FastAPI, called as plain Starlette: the endpoint reads the request and writes the response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint, with nothing around it but a note of what was asked."""
        endpoint = self.endpoint
        operation = (self.tags[0], endpoint.__name__)

        async def answer(request: Request) -> Response:
            request.scope[OPERATION_KEY] = operation
            response: Response = await endpoint(request)
            return response

        return answer


@dataclass(frozen=True)
class TaskRoute:
    """One task's path: its endpoint, and its bodies as the OpenAPI page shows them."""

    path: str
    endpoint: Endpoint
    body: type[BaseModel]
    reply: type[BaseModel]
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    tag: str = _ASK


@dataclass(frozen=True)
class OpenInference:
    """That door's parts."""

    infer: OpenInferenceInfer
    texts: OpenInferenceRest
    pages: OpenInferencePages


@dataclass(frozen=True)
class Doors:
    """All that speaks HTTP."""

    typed: TypedRest
    tfs: TfsRest
    openai: OpenAiRest
    images: OpenAiImages
    open_inference: OpenInference
    pages: Pages


def create_app(doors: Doors, keyring: Keyring | None) -> ASGIApp:
    """Everything HTTP: requests to models by the short way, the rest by FastAPI, which documents both. With a keyring
    nobody comes in without a key.
    """
    hot = {("api", task.path): task.endpoint for task in _tasks(doors.typed)}
    hot |= {("v2", task.path): task.endpoint for task in _open_inference_tasks(doors.open_inference)}
    openai = {(one.method, one.path): one.endpoint for one in _openai(doors)}
    paths = HotPaths(hot, openai, doors.tfs.answer, _documented(doors, locked=keyring is not None))
    return paths if keyring is None else Gate(paths, paths.find, keyring)


def _documented(doors: Doors, *, locked: bool) -> FastAPI:
    app = FastAPIOffline(
        title="Tensorgate",
        summary="Every published model over REST; the same over gRPC as tensorgate.v1.Inference.",
        redoc_url=None,
        # Documents the key, and gives the page a place to write it; a PlainRoute calls no dependencies.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if locked else None,
        exception_handlers={
            TensorgateError: answer_error,
            Exception: answer_error,
            HTTPException: answer_http_error,
        },
    )
    app.router.route_class = PlainRoute
    for form in _REF_FORMS:
        for task in _tasks(doors.typed):
            _add_task(app, f"/api/models/{{model}}{form}/{task.path}", task)
    for form in _REF_FORMS:
        _add_tfs(app, f"/v1/models/{{model}}{form}", doors.tfs)
    for one in _openai(doors):
        content = {"application/json": {"schema": one.body.model_json_schema()}} if one.body is not None else {}
        extra = {"requestBody": {"required": True, "content": content}} if content else None
        app.add_api_route(
            one.path, one.endpoint, methods=[one.method], tags=[OPENAI], responses=_faults(OPENAI), openapi_extra=extra
        )
    _add_open_inference(app, doors.open_inference)
    pages = doors.pages
    for form in _REF_FORMS:
        _add_page(app, f"/api/models/{{model}}{form}", pages.show_model, _MODELS, schemas.ModelDetail)
    _add_page(app, "/api/models", pages.list_models, _MODELS, schemas.ModelList)
    for path, endpoint in {"/livez": pages.livez, "/readyz": pages.readyz, "/metrics": pages.metrics}.items():
        _add_page(app, path, endpoint, _OPERATE)
    return app


@dataclass(frozen=True)
class OpenAiRoute:
    """One path of OpenAI's."""

    method: str
    path: str
    endpoint: Endpoint
    body: type[BaseModel] | None = None


def _openai(doors: Doors) -> tuple[OpenAiRoute, ...]:
    return (
        OpenAiRoute("POST", "/v1/completions", doors.openai.completions, openai_schemas.CompletionBody),
        OpenAiRoute("POST", "/v1/images/generations", doors.images.generations, openai_schemas.ImagesBody),
        OpenAiRoute("GET", "/v1/models", doors.openai.list_models),
    )


def _tasks(typed: TypedRest) -> tuple[TaskRoute, ...]:
    uploads = ("image/png", "image/jpeg", "multipart/form-data")
    return (
        TaskRoute("classify", typed.classify, schemas.ClassifyBody, schemas.ClassifyReply, takes=uploads),
        TaskRoute("regress", typed.regress, schemas.InstancesBody, schemas.RegressReply, takes=uploads),
        TaskRoute(
            "generate-text",
            typed.generate_text,
            schemas.GenerateTextBody,
            schemas.GenerateTextReply,
            gives=("text/event-stream",),
        ),
        TaskRoute(
            "generate-image",
            typed.generate_image,
            schemas.GenerateImageBody,
            schemas.GenerateImageReply,
            takes=uploads,
            gives=("image/png", "image/gif", "text/event-stream"),
        ),
        TaskRoute(
            "explain", typed.explain, schemas.ExplainBody, schemas.ExplainReply, takes=uploads, gives=("image/png",)
        ),
    )


def _add_task(app: FastAPI, path: str, task: TaskRoute) -> None:
    content: dict[str, Any] = {"application/json": {"schema": task.body.model_json_schema()}}
    content |= {media: {"schema": {"type": "string", "format": "binary"}} for media in task.takes}
    answer = {"model": task.reply, "content": {media: {} for media in task.gives}}
    app.add_api_route(
        path,
        task.endpoint,
        methods=["POST"],
        tags=[task.tag],
        responses={200: answer, **_faults(task.tag)},
        openapi_extra={"requestBody": {"required": True, "content": content}, "parameters": _parameters(path)},
    )


def _add_tfs(app: FastAPI, path: str, tfs: TfsRest) -> None:
    content = {"application/json": {"schema": {"type": "object"}, "example": {"instances": [{"x": 1.0}]}}}
    app.add_api_route(
        f"{path}:predict",
        tfs.predict,
        methods=["POST"],
        tags=[_TFS],
        responses=_faults(_TFS),
        openapi_extra={"requestBody": {"required": True, "content": content}, "parameters": _parameters(path)},
    )
    _add_page(app, f"{path}/metadata", tfs.metadata, _TFS)
    _add_page(app, path, tfs.status, _TFS)


def _open_inference_tasks(door: OpenInference) -> tuple[TaskRoute, ...]:
    texts = partial(TaskRoute, body=open_inference.GenerateBody, reply=open_inference.GenerateReply)
    infer = TaskRoute(
        "infer",
        door.infer.infer,
        open_inference.InferBody,
        open_inference.InferReply,
        takes=(OCTETS,),
        gives=(OCTETS,),
    )
    generate = texts("generate", door.texts.generate)
    stream = texts("generate_stream", door.texts.generate_stream, gives=("text/event-stream",))
    return tuple(replace(task, tag=OPEN_INFERENCE) for task in (infer, generate, stream))


def _add_open_inference(app: FastAPI, door: OpenInference) -> None:
    pages, models = door.pages, "/v2/models/{model}"
    for form in _REF_FORMS:
        for task in _open_inference_tasks(door):
            _add_task(app, f"{models}{form}/{task.path}", task)
        _add_page(app, f"{models}{form}", pages.metadata, OPEN_INFERENCE, open_inference.ModelMetadata)
        _add_page(app, f"{models}{form}/ready", pages.model_ready, OPEN_INFERENCE)
    for path, endpoint in {"/health/live": pages.live, "/health/ready": pages.ready}.items():
        _add_page(app, f"/v2{path}", endpoint, OPEN_INFERENCE)
    _add_page(app, "/v2", pages.server, OPEN_INFERENCE, open_inference.ServerMetadata)
    _add_page(app, "/v2/models", pages.list_models, OPEN_INFERENCE)
    content = {"application/json": {"schema": open_inference.IndexBody.model_json_schema()}}
    app.add_api_route(
        "/v2/repository/index",
        pages.index,
        methods=["POST"],
        tags=[OPEN_INFERENCE],
        responses={200: {"model": list[open_inference.ModelIndex]}, **_faults(OPEN_INFERENCE)},
        openapi_extra={"requestBody": {"required": False, "content": content}},
    )


def _add_page(app: FastAPI, path: str, endpoint: Endpoint, tag: str, reply: type[BaseModel] | None = None) -> None:
    app.add_api_route(
        path,
        endpoint,
        tags=[tag],
        response_class=PlainTextResponse if path == "/metrics" else JSONResponse,
        responses={**({200: {"model": reply}} if reply is not None else {}), **_faults(tag)},
        openapi_extra={"parameters": _parameters(path)},
    )


def _faults(tag: str) -> dict[int | str, dict[str, Any]]:
    return {"default": {"model": _FAULTS.get(tag, schemas.FaultReply)}}


def _parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
