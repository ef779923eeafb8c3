"""OpenAI's door, /v1/completions and /v1/models, for its clients (openai-openapi 2026-08). A token is what the model
writes one after another: a character, or a word.

`system_fingerprint` names the version that wrote: the same one with the same seed writes the same text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request as Http
from starlette.responses import Response, StreamingResponse

from services.core.card import Task
from services.core.refs import ModelRef, parse_ref
from services.gateway.bodies import parse_json, read_bytes, seconds_allowed
from services.gateway.events import DONE, EVENTS, EVENTS_HEADERS, event, told_of
from services.gateway.faults import REQUEST_ID_KEY, openai_fault
from services.gateway.openai_schemas import CompletionBody
from services.gateway.plane import DataPlane
from services.gateway.routing_table import RoutingTable
from services.gateway.schemas import read_body
from services.gateway.text import Chunk, Prompt, write_text
from services.gateway.tokens import LOGPROBS, Token

_JSON = "application/json"
_START = "start"
_GENERATE = (Task.GENERATE_TEXT, Task.GENERATE_IMAGE)
_KNOBS = ("temperature", "top_p")  # which OpenAI has a default of its own for


@dataclass(frozen=True)
class Chance:
    """What differs from one request to the next: a seed for those who give none, and the time, in seconds."""

    seed: Callable[[], int]
    clock: Callable[[], float]


@dataclass(frozen=True)
class Completion:
    """One request, answered piece by piece."""

    id: str
    created: int
    body: CompletionBody
    prompts: Sequence[str]

    def piece(self, chunk: Chunk, choices: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
        """A reply, or an event of a stream."""
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.body.model,
            "system_fingerprint": f"{chunk.servable.name}/{chunk.servable.version}",
            "choices": choices,
            **fields,
        }

    def prompt(self, index: int) -> str:
        """That text number `index` goes on from."""
        return self.prompts[index // self.body.n]

    def echoed(self, index: int) -> str:
        """What stands before text number `index`."""
        return self.prompt(index) if self.body.echo else ""


class OpenAiRest:
    """The endpoints. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(
        self, plane: DataPlane, table: Callable[[], RoutingTable], chance: Chance, *, body_bytes: int, seconds: float
    ) -> None:
        self._plane = plane
        self._table = table
        self._chance = chance
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def list_models(self, http: Http) -> Response:
        """The models that write or draw."""
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "tensorgate"}
            for name, routes in sorted(self._table().models.items())
            if any(servable.card.signatures_for(task) for servable in routes.servables.values() for task in _GENERATE)
        ]
        return Response(orjson.dumps({"object": "list", "data": models}), media_type=_JSON)

    async def completions(self, http: Http) -> Response:
        """Texts, whole or as they are written."""
        body = read_body(CompletionBody, parse_json(await read_bytes(http, self._body_bytes)))
        prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        ref = parse_ref(body.model)
        http.scope["path_params"] = {"model": ref.name}  # by which the request is counted
        stop = (body.stop,) if isinstance(body.stop, str) else body.stop
        asked = [Prompt(text, body.max_tokens, self._knobs(ref, body), stop, body.n, body.stream) for text in prompts]
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        chunks = write_text(self._plane, ref, asked, deadline)
        completion = Completion(f"cmpl-{http.scope[REQUEST_ID_KEY]}", int(self._chance.clock()), body, prompts)
        if not body.stream:
            whole = await _whole(completion, chunks)
            return Response(orjson.dumps(whole), media_type=_JSON)
        first = await anext(chunks)  # a request that fails at once gets a status, not an event
        events = _events(http, completion, first, chunks)
        return StreamingResponse(events, media_type=EVENTS, headers=EVENTS_HEADERS)

    def _knobs(self, ref: ModelRef, body: CompletionBody) -> Mapping[str, Any]:
        """What the model is asked with: fields that were sent, and OpenAI's defaults of those it knows."""
        signature = self._plane.route(ref).card.signatures.get(_START)
        known = {field.name for field in signature.inputs} if signature is not None else set()
        knobs = {name: getattr(body, name) for name in _KNOBS if name in known or name in body.model_fields_set}
        if body.logprobs is not None:
            knobs[LOGPROBS] = True
        if body.seed is not None or "seed" in known:
            knobs["seed"] = self._chance.seed() if body.seed is None else body.seed
        return {**knobs, **(body.model_extra or {})}


def _likelihoods(tokens: Sequence[Token], top: int, offset: int) -> Mapping[str, Any]:
    """OpenAI's four columns; `offset` is where in the answer the written text begins."""
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(list(token.top.items())[:top]) for token in tokens],
        "text_offset": [offset + token.place for token in tokens],
    }


class _Choices:
    """What has been written so far of each text."""

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self._begun: set[int] = set()
        self._asked = self._written = 0

    @property
    def usage(self) -> Mapping[str, int]:
        """In tokens; each prompt counts once, however many texts go on from it."""
        return {
            "prompt_tokens": self._asked,
            "completion_tokens": self._written,
            "total_tokens": self._asked + self._written,
        }

    def read(self, chunk: Chunk) -> dict[str, Any]:
        """The chunk as a choice; the first of a text has what is echoed before it."""
        echoed, top = self._completion.echoed(chunk.index), self._completion.body.logprobs
        told = None if top is None else _likelihoods(chunk.tokens, top, len(echoed))
        text = chunk.text if chunk.index in self._begun else echoed + chunk.text
        self._count(chunk)
        reason = chunk.finish_reason or None
        return {"text": text, "index": chunk.index, "logprobs": told, "finish_reason": reason}

    def _count(self, chunk: Chunk) -> None:
        self._written += chunk.written
        if chunk.index not in self._begun and chunk.index % self._completion.body.n == 0:
            told = chunk.prompt_tokens
            self._asked += len(self._completion.prompt(chunk.index)) if told is None else told
        self._begun.add(chunk.index)


def _joined(first: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Two pieces of one choice as one."""
    told = first["logprobs"] and {name: column + more["logprobs"][name] for name, column in first["logprobs"].items()}
    return {**more, "text": first["text"] + more["text"], "logprobs": told}


async def _whole(completion: Completion, chunks: AsyncIterator[Chunk]) -> Mapping[str, Any]:
    choices, whole = _Choices(completion), dict[int, dict[str, Any]]()
    async for chunk in chunks:
        choice = choices.read(chunk)
        whole[chunk.index] = _joined(whole[chunk.index], choice) if chunk.index in whole else choice
    told = [whole[index] for index in sorted(whole)]
    return completion.piece(chunk, told, usage=choices.usage)


async def _events(http: Http, completion: Completion, first: Chunk, chunks: Any) -> AsyncIterator[bytes]:
    usage = (completion.body.stream_options or {}).get("include_usage", False)
    choices = _Choices(completion)

    def piece_of(chunk: Chunk) -> bytes:
        return event(completion.piece(chunk, [choices.read(chunk)], **({"usage": None} if usage else {})))

    async with aclosing(chunks):
        try:
            yield piece_of(first)
            async for chunk in chunks:
                yield piece_of(chunk)
            if usage:
                yield event(completion.piece(first, [], usage=choices.usage))
            yield DONE
        except Exception as error:  # the last place where the client can be told
            yield b"data: " + openai_fault(*told_of(http, error)) + b"\n\n"
