"""The typed gRPC door, tensorgate.v1.Inference. It translates and decides nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import numpy as np

from services.core.card import Task
from services.core.errors import InvalidArgument
from services.core.refs import STABLE, ModelRef
from services.core.tensors import Array, elements
from services.gateway import answers
from services.gateway.bodies import LARGE, read_by
from services.gateway.catalog import summaries
from services.gateway.drawing import Drawing, draw, drawn
from services.gateway.grpc_calls import GrpcCalls
from services.gateway.instances import Instances
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Request
from services.gateway.routing_table import RoutingTable
from services.gateway.text import DEFAULT_LENGTH, Prompt, write_text
from services.rpc.call import Call
from services.stubs.tensorgate.v1 import inference_pb2 as pb


class Inference:
    """The service."""

    def __init__(self, plane: DataPlane, table: Callable[[], RoutingTable], calls: GrpcCalls) -> None:
        self._plane = plane
        self._table = table
        self._calls = calls

    async def Classify(self, request: pb.ClassifyRequest, call: Call) -> pb.ClassifyResponse:
        """Labels with scores."""
        async with self._answering(call, "classify", request.model.name):
            threshold = request.threshold if request.HasField("threshold") else answers.DEFAULT_THRESHOLD
            choice = answers.choice_of(request.top_k, threshold)
            answer = await self._predict(call, request, Task.CLASSIFY)
            reply = pb.ClassifyResponse(model=answer.servable.name, version=answer.servable.version)
            for one in answers.classifications(answer, choice):
                prediction = reply.predictions.add()
                if not isinstance(one, Mapping):
                    _write_labels(prediction, one)
                    continue
                for name, head in one.items():
                    _write_head(prediction.heads[name], head)
        return reply

    async def Regress(self, request: pb.RegressRequest, call: Call) -> pb.RegressResponse:
        """Values in the user's units."""
        async with self._answering(call, "regress", request.model.name):
            answer = await self._predict(call, request, Task.REGRESS)
            reply = pb.RegressResponse(
                model=answer.servable.name, version=answer.servable.version, units=answers.units(answer)
            )
            for row in answers.regressions(answer):
                prediction = reply.predictions.add()
                for name, values in row.items():
                    prediction.values[name].CopyFrom(_numbers_of(values))
        return reply

    async def GenerateText(self, request: pb.GenerateTextRequest, call: Call) -> AsyncIterator[pb.GenerateTextChunk]:
        """Text as it is written."""
        async with self._answering(call, "generate_text", request.model.name):
            length, knobs = request.length or DEFAULT_LENGTH, _values_of(request.knobs)
            prompt = Prompt(request.prompt, length, knobs, request.stop, request.n or 1)
            async with aclosing(
                write_text(self._plane, _ref_of(request.model), (prompt,), self._calls.deadline(call))
            ) as chunks:
                async for chunk in chunks:
                    yield pb.GenerateTextChunk(
                        model=chunk.servable.name,
                        version=chunk.servable.version,
                        text=chunk.text,
                        finish_reason=chunk.finish_reason,
                        index=chunk.index,
                        unknown=chunk.unknown,
                        tokens=[pb.Token(text=one.text, logprob=one.logprob, top=one.top) for one in chunk.tokens],
                    )

    async def GenerateImage(self, request: pb.GenerateImageRequest, call: Call) -> pb.GenerateImageResponse:
        """PNG pictures."""
        async with self._answering(call, "generate_image", request.model.name):
            reply = _picture(await drawn(self._draw(call, request)))
        return reply

    async def WatchImage(self, request: pb.GenerateImageRequest, call: Call) -> AsyncIterator[pb.GenerateImageResponse]:
        """A picture as it grows."""
        async with (
            self._answering(call, "watch_image", request.model.name),
            aclosing(self._draw(call, request)) as drawings,
        ):
            async for drawing in drawings:
                yield _picture(drawing)

    async def Explain(self, request: pb.ExplainRequest, call: Call) -> pb.ExplainResponse:
        """What in an input speaks for an answer."""
        async with self._answering(call, "explain", request.model.name):
            payload = Instances(Task.EXPLAIN, [_values_of(request.instance.inputs)], request.signature)
            answer = await self._plane.predict(Request(_ref_of(request.model), payload, self._calls.deadline(call)))
            told = answers.explanation(answer)
            reply = pb.ExplainResponse(model=answer.servable.name, version=answer.servable.version, images=told.images)
            for word, attribution in told.attributions:
                reply.attributions.add(word=word, attribution=attribution)
            for name, array in told.arrays.items():
                reply.arrays[name].CopyFrom(_numbers_of(array))
        return reply

    async def ListModels(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        """All models of the store."""
        async with self._answering(call, "list_models", ""):
            reply = pb.ListModelsResponse()
            for model in summaries(self._table()):
                reply.models.add(
                    name=model.name,
                    task=model.task,
                    title=model.title,
                    stable=model.labels.get(STABLE, 0),
                    versions=model.versions,
                    labels=model.labels,
                )
        return reply

    async def _predict(self, call: Call, request: Any, task: Task) -> Answer:
        size = request.ByteSize()
        payload = Instances(task, await read_by(_rows_of, size, request), request.signature)
        deadline = self._calls.deadline(call)
        return await self._plane.predict(Request(_ref_of(request.model), payload, deadline, size > LARGE))

    def _draw(self, call: Call, request: pb.GenerateImageRequest) -> AsyncGenerator[Drawing, None]:
        payload = Instances(Task.GENERATE_IMAGE, [_values_of(request.instance.inputs)], request.signature)
        asked = Request(_ref_of(request.model), payload, self._calls.deadline(call))
        return draw(self._plane, asked, partial_ok=request.partial_ok)

    def _answering(self, call: Call, operation: str, model: str) -> AbstractAsyncContextManager[None]:
        return self._calls.answering(call, ("grpc", operation), model)


def _rows_of(request: Any) -> list[Mapping[str, Any]]:
    return [_values_of(instance.inputs) for instance in request.instances]


def _write_labels(message: pb.Classification | pb.Head, one: answers.Classification) -> None:
    scores = one.scores.tolist()
    if one.chosen is None:
        message.label, message.score = one.labels[0], scores[0]
    else:
        message.labels.extend(one.chosen)
    for label, score in zip(one.labels, scores, strict=True):
        message.scores.add(label=label, score=score)


def _write_head(message: pb.Head, head: answers.Head) -> None:
    if isinstance(head, answers.Classification):
        _write_labels(message, head)
    else:
        message.values.CopyFrom(_numbers_of(head.values))
        message.unit = head.unit


def _picture(drawing: Drawing) -> pb.GenerateImageResponse:
    answer = drawing.answer
    reply = pb.GenerateImageResponse(
        model=answer.servable.name,
        version=answer.servable.version,
        images=answers.pictures(answer),
        progress=drawing.progress,
    )
    for name, array in answers.figures(answer).items():
        reply.figures[name].CopyFrom(_numbers_of(array))
    return reply


def _ref_of(model: pb.Model) -> ModelRef:
    choice = model.WhichOneof("choice")
    return ModelRef(
        model.name,
        version=model.version if choice == "version" else None,
        label=model.label if choice == "label" else None,
    )


def _values_of(values: Mapping[str, pb.Value]) -> dict[str, Any]:
    return {name: _value_of(name, value) for name, value in values.items()}


def _value_of(name: str, value: pb.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None:
        raise InvalidArgument(f"{name} has one of text, data, number and numbers. Received: none")
    if kind != "numbers":
        return getattr(value, kind)
    array = np.array(value.numbers.values, np.float64)
    shape = tuple(value.numbers.shape) or array.shape
    if elements(shape) != array.size:
        raise InvalidArgument(f"{name} has as many values as its shape {list(shape)}. Received: {array.size}")
    return array.reshape(shape)


def _numbers_of(values: Array) -> pb.Numbers:
    return pb.Numbers(values=values.reshape(-1).tolist(), shape=values.shape)
