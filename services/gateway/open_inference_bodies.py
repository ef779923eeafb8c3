"""Bodies of Open Inference's door, as schemas.py has those of the others."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.core.errors import InvalidArgument
from services.gateway.columns import received
from services.gateway.schemas import Stops
from services.gateway.text import DEFAULT_LENGTH


class GenerateBody(BaseModel):
    """Open Inference's request for a text; what stands in `parameters` may stand beside it, too, as Triton has it."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"example": {"text_input": "the soul is", "parameters": {"max_tokens": 200}}}
    )

    id: str = ""
    text_input: str
    parameters: dict[str, Any] = Field(
        default={}, description="max_tokens, stop, and the model's own knobs: its card lists them"
    )

    @property
    def knobs(self) -> dict[str, Any]:
        """The parameters, wherever they stand. Raises InvalidArgument for one that stands in both places."""
        beside = self.model_extra or {}
        if twice := sorted(beside.keys() & self.parameters.keys()):
            raise InvalidArgument(
                f"A parameter stands in `parameters` or beside it, not both. Received: {received(twice)}"
            )
        return {**self.parameters, **beside}


class GenerateParameters(BaseModel):
    """The parameters that are not the model's."""

    model_config = ConfigDict(extra="allow")

    max_tokens: int = DEFAULT_LENGTH
    stop: Stops = []


class GenerateReply(BaseModel):
    """The new text: all of it, or of an event what has been written since the one before."""

    id: str = Field(default="", description="the request's, if it has one")
    model_name: str
    model_version: str
    text_output: str


class OpenInferenceFault(BaseModel):
    """What went wrong, on Open Inference's paths."""

    error: str
