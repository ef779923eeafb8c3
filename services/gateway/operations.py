"""Everything that can be asked over HTTP, once: what serves it and what documents it read the same table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from services.gateway import open_inference_schemas as open_inference
from services.gateway import openai_schemas, schemas
from services.gateway.faults import OPEN_INFERENCE, OPENAI
from services.gateway.hot_paths import Endpoint
from services.gateway.open_inference_infer import OCTETS, OpenInferenceInfer
from services.gateway.open_inference_pages import OpenInferencePages
from services.gateway.open_inference_rest import OpenInferenceRest
from services.gateway.openai_images import OpenAiImages
from services.gateway.openai_rest import OpenAiRest
from services.gateway.pages import METRICS, Pages
from services.gateway.tfs_rest import TfsRest
from services.gateway.typed_rest import TypedRest

_ASK, _TFS, _MODELS, _OPERATE = "rest", "tfs", "models", "operations"
# What the page says of each, in its order.
TAGS: Mapping[str, str] = MappingProxyType(
    {
        _ASK: "By task: fields by name in; labels, values, texts and pictures out.",
        _TFS: "TensorFlow Serving's REST API.",
        OPEN_INFERENCE: "Open Inference Protocol v2, as KServe and Triton speak it.",
        _MODELS: "Which models are here, and what they take and answer.",
        OPENAI: "OpenAI's API.",
        _OPERATE: "Probes and metrics.",
    }
)
_MODEL = "/models/{model}"
_TYPED, _TFS_MODEL, _OPEN_INFERENCE = f"/api{_MODEL}", f"/v1{_MODEL}", f"/v2{_MODEL}"
# The bodies of errors that are not ours; TensorFlow Serving's has Open Inference's form.
_FAULTS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        _TFS: open_inference.OpenInferenceFault,
        OPEN_INFERENCE: open_inference.OpenInferenceFault,
        OPENAI: openai_schemas.OpenAiFaultReply,
    }
)
_REF_FORMS = ("", "/labels/{label}", "/versions/{version}")
_UPLOADS, _EVENTS = ("image/png", "image/jpeg", "multipart/form-data"), ("text/event-stream",)


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


@dataclass(frozen=True)
class Operation:
    """One method of one path: its endpoint, and its bodies as the OpenAPI page shows them."""

    path: str
    endpoint: Endpoint
    tag: str
    method: str = "GET"
    body: type[BaseModel] | None = None
    body_required: bool = True
    takes: Sequence[str] = ()  # media types beside JSON
    reply: Any = None
    gives: Sequence[str] = ()  # media types beside JSON
    in_json: bool = True

    @property
    def fault(self) -> type[BaseModel]:
        """The body of an error."""
        return _FAULTS.get(self.tag, schemas.FaultReply)


def operations(doors: Doors, *, probes: bool) -> Sequence[Operation]:
    """All; those of the one who runs the gateway only with `probes`."""
    of_models = (*typed(doors.typed), *_tfs(doors.tfs), *infer(doors.open_inference), *_models(doors))
    return (
        *(replace(one, path=one.path.replace(_MODEL, _MODEL + form)) for form in _REF_FORMS for one in of_models),
        *openai(doors),
        *_pages(doors),
        *(
            Operation(path, endpoint, _OPERATE, in_json=path != METRICS)
            for path, endpoint in doors.pages.operations.items()
            if probes
        ),
    )


def typed(door: TypedRest) -> Sequence[Operation]:
    """Of each task."""
    task = partial(Operation, tag=_ASK, method="POST")
    classify = task(f"{_TYPED}/classify", door.classify, body=schemas.ClassifyBody, reply=schemas.ClassifyReply)
    regress = task(f"{_TYPED}/regress", door.regress, body=schemas.InstancesBody, reply=schemas.RegressReply)
    texts = task(
        f"{_TYPED}/generate-text",
        door.generate_text,
        body=schemas.GenerateTextBody,
        reply=schemas.GenerateTextReply,
        gives=_EVENTS,
    )
    images = task(
        f"{_TYPED}/generate-image",
        door.generate_image,
        body=schemas.GenerateImageBody,
        reply=schemas.GenerateImageReply,
        gives=("image/png", "image/gif", *_EVENTS),
    )
    explain = task(
        f"{_TYPED}/explain", door.explain, body=schemas.ExplainBody, reply=schemas.ExplainReply, gives=("image/png",)
    )
    return texts, *(replace(one, takes=_UPLOADS) for one in (classify, regress, images, explain))


def infer(door: OpenInference) -> Sequence[Operation]:
    """Open Inference's that ask a model."""
    task = partial(Operation, tag=OPEN_INFERENCE, method="POST")
    texts = partial(task, body=open_inference.GenerateBody, reply=open_inference.GenerateReply)
    tensors = partial(task, body=open_inference.InferBody, reply=open_inference.InferReply)
    return (
        tensors(f"{_OPEN_INFERENCE}/infer", door.infer.infer, takes=(OCTETS,), gives=(OCTETS,)),
        texts(f"{_OPEN_INFERENCE}/generate", door.texts.generate),
        texts(f"{_OPEN_INFERENCE}/generate_stream", door.texts.generate_stream, gives=_EVENTS),
    )


def openai(doors: Doors) -> Sequence[Operation]:
    """OpenAI's."""
    completions, images = openai_schemas.CompletionBody, openai_schemas.ImagesBody
    return (
        Operation("/v1/completions", doors.openai.completions, OPENAI, "POST", completions),
        Operation("/v1/images/generations", doors.images.generations, OPENAI, "POST", images),
        Operation("/v1/models", doors.openai.list_models, OPENAI),
    )


def _tfs(door: TfsRest) -> Sequence[Operation]:
    examples = schemas.ExamplesBody
    return (
        Operation(f"{_TFS_MODEL}:predict", door.predict, _TFS, "POST", schemas.PredictBody),
        Operation(f"{_TFS_MODEL}:classify", door.classify, _TFS, "POST", examples),
        Operation(f"{_TFS_MODEL}:regress", door.regress, _TFS, "POST", examples),
        Operation(f"{_TFS_MODEL}/metadata", door.metadata, _TFS),
        Operation(_TFS_MODEL, door.status, _TFS),
    )


def _models(doors: Doors) -> Sequence[Operation]:
    """What is told of one model."""
    pages = doors.open_inference.pages
    return (
        Operation(_TYPED, doors.pages.show_model, _MODELS, reply=schemas.ModelDetail),
        Operation(_OPEN_INFERENCE, pages.metadata, OPEN_INFERENCE, reply=open_inference.ModelMetadata),
        Operation(f"{_OPEN_INFERENCE}/ready", pages.model_ready, OPEN_INFERENCE),
    )


def _pages(doors: Doors) -> Sequence[Operation]:
    """What is told of all."""
    ours, theirs = doors.pages, doors.open_inference.pages
    index = Operation("/v2/repository/index", theirs.index, OPEN_INFERENCE, "POST", open_inference.IndexBody)
    return (
        Operation("/api/models", ours.list_models, _MODELS, reply=schemas.ModelList),
        Operation("/v2", theirs.server, OPEN_INFERENCE, reply=open_inference.ServerMetadata),
        Operation("/v2/models", theirs.list_models, OPEN_INFERENCE),
        Operation("/v2/health/live", theirs.live, OPEN_INFERENCE),
        Operation("/v2/health/ready", theirs.ready, OPEN_INFERENCE),
        replace(index, body_required=False, reply=list[open_inference.ModelIndex]),
    )
