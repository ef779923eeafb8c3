"""Bodies of the typed door: what they check and what the OpenAPI page shows are the same classes."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from services.core.errors import InvalidArgument, received
from services.gateway.answers import DEFAULT_THRESHOLD
from services.gateway.stops import MOST_STOPS
from services.gateway.text import DEFAULT_LENGTH, MOST_TEXTS

B = TypeVar("B", bound=BaseModel)


def _few(most: int) -> BeforeValidator:
    """Counted before each is looked at: a list of a million faults would be a million errors."""

    def counted(value: Any) -> Any:
        if isinstance(value, list) and len(value) > most:
            raise ValueError(f"is a text or at most {most} of them")
        return value

    return BeforeValidator(counted)


Texts = Annotated[str | list[str], _few(MOST_TEXTS)]
Stops = Annotated[str | list[str], _few(MOST_STOPS)]


class InstancesBody(BaseModel):
    """Several things to predict, or one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"instance": {"image_bytes": {"b64": "iVBORw0KGgo..."}}}}
    )

    instances: list[Any] | None = Field(default=None, description="objects of field: value; bytes as {'b64': '...'}")
    instance: dict[str, Any] | None = Field(default=None, description="one such object, in place of `instances`")
    signature: str = Field(default="", description="left out: chosen by the names of the fields")

    @model_validator(mode="after")
    def _one_of_them(self) -> InstancesBody:
        if (self.instances is None) == (self.instance is None):
            raise ValueError("has either `instances`, a list, or `instance`, one object")
        return self

    @property
    def rows(self) -> list[Any]:
        """The instances, however they were given."""
        return [self.instance] if self.instances is None else self.instances


class ClassifyBody(InstancesBody):
    """What to classify, how many labels to tell, and from which score on a label holds that may hold with others."""

    top_k: int = Field(default=0, description="labels to tell for each instance; 0 means all")
    threshold: float = Field(default=DEFAULT_THRESHOLD, description="where several labels may hold together")


class GenerateTextBody(BaseModel):
    """What to write on. Other fields are the model's own knobs: its card lists them."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"example": {"prompt": "the soul is", "length": 200, "temperature": 0.5, "seed": 7}},
    )

    prompt: str
    length: int = Field(
        default=DEFAULT_LENGTH, description="tokens to write: characters, or what the card has as the unit of `steps`"
    )
    stop: Stops = Field(default=[], description="the text ends before the first of these")
    n: int = Field(default=1, description="texts to write; number i, from 0, has the seed + i")


class OneInstanceBody(BaseModel):
    """The fields of one instance, under `instance` or directly."""

    model_config = ConfigDict(extra="allow")

    instance: dict[str, Any] | None = None
    signature: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The instance. Raises InvalidArgument when fields stand both ways."""
        extra = self.model_extra or {}
        if self.instance is not None and extra:
            raise InvalidArgument(f"Fields stand under `instance` or beside it, not both. Received: {received(extra)}")
        return extra if self.instance is None else self.instance


class GenerateImageBody(OneInstanceBody):
    """What to draw."""

    model_config = ConfigDict(json_schema_extra={"example": {"instance": {"seed": 7}}})

    partial_ok: bool = Field(default=False, description="when the time is up, answer with the picture so far")


class ExplainBody(OneInstanceBody):
    """Which answer to explain: what was asked, and where the model has it a `target`, a class number or a label."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"instance": {"image_bytes": {"b64": "iVBORw0KGgo..."}, "target": "cat"}}}
    )


class Prediction(BaseModel):
    """One classified instance: the best label, and labels by score, highest first."""

    label: str
    score: float
    scores: dict[str, float]


class LabelsPrediction(BaseModel):
    """The same where several labels may hold together: those at or above the threshold."""

    labels: list[str]
    scores: dict[str, float]


class ValuesPrediction(BaseModel):
    """The values of one of several heads; nested lists as the output has its shape."""

    values: Any
    unit: str


class ClassifyReply(BaseModel):
    """One prediction an instance; of a model with several heads an object of them by output name."""

    model: str
    version: int
    predictions: list[Prediction | LabelsPrediction | dict[str, Prediction | LabelsPrediction | ValuesPrediction]]


class RegressReply(BaseModel):
    """Values by output name, one object an instance; `unit` for a model with one unit, else `units` by output."""

    model: str
    version: int
    predictions: list[dict[str, Any]]
    unit: str = ""
    units: dict[str, str] = {}


class Text(BaseModel):
    """One written text."""

    text: str
    finish_reason: str = Field(description="length or stop")
    logprobs: list[dict[str, Any]] = Field(
        default=[], description="of each token, if the model has the knob and it is true: token, logprob, top"
    )


class GenerateTextReply(Text):
    """The whole text; with `Accept: text/event-stream` it comes in `data: {"text": ...}` events.

    Of `n` texts this is the first; an event of another has its number as `index`.
    """

    model: str
    version: int
    unknown: str = Field(default="", description="characters, or words, of the prompt that the model does not know")
    alternatives: list[Text] = Field(default=[], description="the others, where n is more than 1")


class Base64(BaseModel):
    """Bytes in JSON, as TensorFlow Serving writes them."""

    b64: str


class GenerateImageReply(BaseModel):
    """PNG pictures; with `Accept: image/png` the one picture itself, with `Accept: image/gif` all as frames of one.

    With `Accept: text/event-stream` the same comes in `data: {"progress": 0.5, "images": ...}` events as it grows.
    """

    model: str
    version: int
    images: list[Base64]
    figures: dict[str, Any] = Field(default={}, description="numbers that belong to the picture, by output name")
    partial: bool = Field(default=False, description="true: the time was up; `X-Progress` says so of a PNG")


class Attribution(BaseModel):
    """What a word adds to the score of the explained answer."""

    word: str
    attribution: float


class ExplainReply(BaseModel):
    """Whatever the model explains with; with `Accept: image/png` the one picture itself."""

    model: str
    version: int
    images: list[Base64] = Field(description="PNG")
    attributions: list[Attribution] = Field(description="in the order of the text")
    arrays: dict[str, Any] = Field(description="by output name, such as a heat map")


class ModelSummary(BaseModel):
    """A model of the store: `versions` can be called now."""

    name: str
    task: str
    title: str
    labels: dict[str, int]
    versions: list[int]
    states: dict[int, str]


class PredictBody(BaseModel):
    """TensorFlow Serving's, for the OpenAPI page: `tfs_json` reads it by the signature."""

    model_config = ConfigDict(json_schema_extra={"example": {"instances": [{"x": 1.0}]}})

    instances: list[Any] | None = Field(default=None, description="rows: a value each, or an object of values by name")
    inputs: Any = Field(default=None, description="in place of `instances`: columns")
    signature_name: str = "serving_default"


class ExamplesBody(BaseModel):
    """TensorFlow Serving's, for the OpenAPI page, as above: features by name, as tf.Example has them."""

    model_config = ConfigDict(json_schema_extra={"example": {"examples": [{"x": 1.0}]}})

    examples: list[Any] = Field(description="an object of features each; bytes as {'b64': '...'}")
    context: Any = Field(default=None, description="features that all of them have")
    signature_name: str = "serving_default"


class ModelList(BaseModel):
    """All models of the store."""

    models: list[ModelSummary]


class ModelDetail(ModelSummary):
    """One model, with the card of the version asked for."""

    version: int
    card: dict[str, Any]


class Fault(BaseModel):
    """What went wrong: gRPC's code by name, the rule and what was received."""

    code: str
    message: str
    request_id: str


class FaultReply(BaseModel):
    """The body of an error, but for those of TensorFlow Serving's, OpenAI's and Open Inference's paths."""

    error: Fault


def read_body(schema: type[B], document: Any) -> B:
    """Check a parsed body. Raises InvalidArgument naming the first field that breaks a rule."""
    if not isinstance(document, dict):
        raise InvalidArgument(f"The body is one JSON object. Received: {received(document)}")
    try:
        return schema.model_validate(document, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        rule = first["msg"].removeprefix("Value error, ")
        raise InvalidArgument(f"{where}: {rule}. Received: {received(first['input'])}") from None
