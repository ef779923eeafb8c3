"""Bodies of OpenAI's door: what they check and what the OpenAPI page shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.gateway.schemas import Stops, Texts
from services.gateway.text import MOST_LENGTH


class OpenAiBody(BaseModel):
    """What the bodies of OpenAI's door have in common."""

    model: str = Field(description="name, name/version or name@label")

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, document: Any) -> Any:
        """As OpenAI reads it."""
        return {name: value for name, value in document.items() if value is not None}


class CompletionBody(OpenAiBody):
    """OpenAI's completion request; further fields, such as top_k, are the model's own knobs: its card lists them."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"example": {"model": "nietzsche", "prompt": "the soul is", "max_tokens": 200}}
    )

    prompt: Texts = Field(description="a text, or several; no numbers of tokens")
    max_tokens: int = Field(
        default=16,
        ge=1,
        le=MOST_LENGTH,
        description="a token is a character, or what the card has as the unit of `steps`",
    )
    temperature: float = 1.0
    top_p: float = 1.0
    n: int = Field(default=1, description="texts for each prompt; number i, from 0, has the seed + i")
    stop: Stops = []
    seed: int | None = Field(default=None, description="left out: drawn anew for each request")
    echo: bool = False
    stream: bool = False
    stream_options: dict[str, bool] | None = Field(default=None, description="include_usage: the count comes last")
    best_of: int | None = Field(default=None, description="n, if given")
    logprobs: int | None = Field(default=None, ge=0, le=5, description="the likeliest so many are told, too")
    suffix: Literal[""] = Field(default="", description="not taken")
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] = Field(default={}, description="not taken")
    frequency_penalty: Literal[0] = 0
    presence_penalty: Literal[0] = 0
    user: str = Field(default="", description="passed over")

    @model_validator(mode="after")
    def _all_are_written(self) -> CompletionBody:
        if self.best_of not in (None, self.n):
            raise ValueError(f"every text that is written is answered: best_of is n, {self.n}")
        return self


class ImagesBody(OpenAiBody):
    """OpenAI's request for pictures; further fields are the model's own knobs: its card lists them."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"example": {"model": "digits_vae", "prompt": "any words, or seed=7 scale=4", "n": 2}},
    )

    prompt: str = Field(
        max_length=4000, description="name=value sets a knob, signature=name a way to draw; other words are a seed"
    )
    n: int = Field(default=1, ge=1, le=10, description="pictures; number i, from 0, has the seed + i")
    size: str = Field(default="auto", max_length=20, description="256x256: of models with such a knob, the longer side")
    response_format: Literal["b64_json"] = "b64_json"
    output_format: Literal["png"] = "png"
    stream: Literal[False] = False
    quality: str = Field(default="", description="passed over")
    style: str = Field(default="", description="passed over")
    user: str = Field(default="", description="passed over")


class OpenAiFault(BaseModel):
    """What went wrong, as OpenAI tells it."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAiFaultReply(BaseModel):
    """The body of an error on OpenAI's paths."""

    error: OpenAiFault
