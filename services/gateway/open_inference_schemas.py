"""Bodies of Open Inference's door: what they check and what the OpenAPI page shows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field

from services.core.errors import InvalidArgument, received
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


class InferInput(BaseModel):
    """A tensor; its values are in `data`, or after the JSON, as many bytes as `parameters.binary_data_size` says."""

    name: str
    shape: Annotated[list[int], FailFast()]  # a fault each of a million values would be a million faults
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class InferOutput(BaseModel):
    """A tensor that is wanted; in bytes if `parameters.binary_data` is true."""

    name: str
    parameters: dict[str, Any] = {}


class InferBody(BaseModel):
    """Open Inference's request for a prediction."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.5]}]}
        }
    )

    id: str = ""
    parameters: dict[str, Any] = Field(
        default={}, description="`signature`, a name; `binary_data_output`, true for all outputs in bytes"
    )
    inputs: Annotated[list[InferInput], FailFast()]
    outputs: Annotated[list[InferOutput], FailFast()] = Field(default=[], description="left out: all")


class InferTensor(BaseModel):
    """A tensor of the answer; its values are flat, row by row."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] = []


class InferReply(BaseModel):
    """The answer."""

    model_name: str
    model_version: str
    id: str = Field(default="", description="the request's, if it has one")
    outputs: list[InferTensor]


class ServerMetadata(BaseModel):
    """Who answers, and what it can do beyond the protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor as a model has it; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What can be asked of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class IndexBody(BaseModel):
    """Which versions to list."""

    ready: bool = Field(default=False, description="only those that can be called now")


class ModelIndex(BaseModel):
    """A version in the repository."""

    name: str
    version: str
    state: str
    reason: str = ""
