"""All that a plugin may import of ours.

A plugin is a folder: `data.py` says where the data is, `model.py` builds each variant, `plugin.py` ties them together
and says what raw request the trained model answers. The trainer owns everything else: seeds, folds, baseline,
callbacks, resume, report, gate, export, check, publish.

    class Mnist(Plugin[Config]):
        name = "mnist"
        ...
        def load_data(self, config, datasets): return Data(train=..., test=...)
        def build_model(self, config, variant, train): return compiled_keras_model
        def signatures(self, model): return {"classify": Signature(...)}

    PLUGIN = Mnist()      # named in pyproject's entry-point group "tensorgate.plugins"
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from plugins.datasets import Dataset, Datasets, NpmPackage, PypiPackage, Source, Url
from plugins.samples import Array, Columns, Data, Samples
from plugins.search import Choice, Range, Search
from services.core.card import BookFigure, InputField, OutputField, Task
from services.core.errors import FailedPrecondition, InvalidArgument, Unavailable

__all__ = [
    "AllData",
    "Array",
    "BookFigure",
    "Choice",
    "Columns",
    "Config",
    "Data",
    "Dataset",
    "Datasets",
    "EvaluationProtocol",
    "Figure",
    "HoldOut",
    "InputField",
    "InvalidArgument",
    "IteratedKFold",
    "KFold",
    "Metric",
    "NpmPackage",
    "OutputField",
    "Plugin",
    "PypiPackage",
    "Range",
    "Samples",
    "Search",
    "Signature",
    "Source",
    "Task",
    "Unavailable",
    "Untrained",
    "Url",
    "Variant",
]


class Config(BaseModel):
    """Hyper-parameters of a run. A plugin subclasses it; `--set epochs=5` and a variant's `settings` override it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=1, description="seeds Python, NumPy and TensorFlow: same seed, same metrics")
    split_seed: int | None = Field(
        default=None, description="draws the validated samples, and those of `samples`; none: `seed` does"
    )
    epochs: int = 5
    batch_size: int = 128
    steps_per_epoch: int | None = Field(
        default=None,
        ge=1,
        description="batches an epoch, if a pass over all samples has more; the next epoch goes on there; none: a pass",
    )
    samples: int | None = Field(
        default=None, ge=1, description="train on so many samples, drawn with the seed, for a quick look; none: on all"
    )
    keep_best: bool = Field(
        default=True, description="where validated by hold-out, publish the weights of the epoch that validated best"
    )
    early_stopping_patience: int | None = Field(
        default=None, ge=0, description="epochs without a better one; none: off"
    )
    reduce_lr_patience: int | None = Field(default=None, ge=0, description="epochs without a better one; none: off")
    reduce_lr_factor: float = Field(default=0.1, gt=0, lt=1, description="what the learning rate is multiplied by")
    balance_classes: bool = Field(
        default=False, description="weigh each class in the loss by the inverse of its share of the training samples"
    )
    jit_compile: bool = Field(
        default=False, description="train by XLA; the same seed then gives the same figures, but for the last digits"
    )
    devices: int = Field(
        default=1,
        ge=1,
        description="GPUs that train each model, of this machine or of all workers, with a part of every batch each",
    )
    mixed_precision: bool = Field(
        default=False,
        description="train in 16 bits with weights of 32 (bfloat16 on a processor, float16 on a GPU), unless a layer "
        "adapts to data while the model is built; what is published computes in 32",
    )
    log_histograms: bool = Field(default=False, description="weights for TensorBoard, each epoch; takes time and space")
    log_activations: bool = Field(
        default=False, description="what each layer makes of one validation sample, each epoch, as .npz"
    )

    @property
    def rows_seed(self) -> int:
        """What rows of the data are drawn with."""
        return self.seed if self.split_seed is None else self.split_seed

    @field_validator("epochs", "batch_size")  # holds for a subclass's own defaults too, where ge=1 would be lost
    @classmethod
    def _at_least_one(cls, value: int) -> int:
        if value < 1:
            raise ValueError("Input should be greater than or equal to 1")
        return value


C = TypeVar("C", bound=Config)
EVALUATION_BATCH = 128  # rows; a photograph takes a large network 20 MB


@dataclass(frozen=True)
class HoldOut:
    """Validate on `validation` samples taken from the end of the shuffled training data (book 4.2, listing 4.1).

    A fraction is that share of the training samples, for data that come in any number.

    With `refit`, a fresh model is then trained on all non-test data for the epoch count that validated best.
    With `in_order` the data is cut without shuffling first: windows of a text or a time series overlap, so a shuffled
    cut would validate on what was trained on (book 9.1.5: validation comes after training). Training still shuffles.
    `gap` samples before the cut are then used for nothing, where their targets reach into what is validated on.
    """

    validation: float
    refit: bool = False
    in_order: bool = False
    gap: int = 0


@dataclass(frozen=True)
class KFold:
    """Validate on each of `folds` parts in turn, shuffled first; then train on all non-test data (listing 4.2)."""

    folds: int = 4


@dataclass(frozen=True)
class IteratedKFold:
    """K-fold, `repeats` times, shuffling before each (book 4.2)."""

    folds: int = 4
    repeats: int = 3


@dataclass(frozen=True)
class Untrained:
    """The model comes as it is: imported weights, or a rule. Nothing is fitted, nothing validated."""


@dataclass(frozen=True)
class AllData:
    """One model learns from all training data for all epochs, and nothing is validated.

    For models whose losses say nothing of their worth, such as two networks that play against each other (book 8.5).
    """


EvaluationProtocol = HoldOut | KFold | IteratedKFold | AllData | Untrained


@dataclass(frozen=True)
class Variant:
    """One architecture or recipe: what it is, which defaults it changes, what the book measured for it.

    `protocol` is how this one is evaluated, where that is not how the plugin's others are.
    """

    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    book: BookFigure | None = None
    protocol: EvaluationProtocol | None = None


@dataclass(frozen=True)
class Metric:
    """The figure a run is judged by: gate, best epoch and results table read it.

    `name` is `loss` or one of the metrics that the model is compiled with.
    """

    name: str
    higher_is_better: bool
    unit: str = ""


@dataclass(frozen=True)
class Signature:
    """One endpoint of the exported model.

    `function` is traced by TensorFlow with one batched tensor an input field, in the order of `inputs`, its parameters
    named as the fields are; it returns a dict with one batched tensor an output field.
    `example` is one instance as a client writes it in JSON; bytes are Python bytes here.
    """

    task: Task
    function: Callable[..., Mapping[str, Any]]
    inputs: Sequence[InputField]
    outputs: Sequence[OutputField]
    example: Mapping[str, Any]
    description: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture for the run's report: PNG bytes with a caption."""

    name: str
    caption: str
    png: bytes


class Plugin(ABC, Generic[C]):
    """One problem of the book, or of yours. Required: the six attributes and three methods; the rest has defaults."""

    name: ClassVar[str]
    title: ClassVar[str]
    task: ClassVar[Task]
    metric: ClassVar[Metric]
    variants: ClassVar[Mapping[str, Variant]]
    protocol: ClassVar[EvaluationProtocol]
    # ClassVar cannot hold a type variable (PEP 526), so this one is typed by the base and narrowed by the subclass.
    config: ClassVar[type[Config]] = Config
    search: ClassVar[Mapping[str, Search]] = {}  # by field of the config: what `tensorgate tune` tries

    @abstractmethod
    def load_data(self, config: C, datasets: Datasets) -> Data:
        """Raw arrays: unscaled, in people's units. The test split must not influence the training one."""

    @abstractmethod
    def build_model(self, config: C, variant: str, train: Samples) -> Any:
        """A compiled `keras.Model`. `train` is the training part of this fold only: adapt scaling layers on it.

        What `signatures` needs besides, such as the words a model knows, the model may carry as a Keras layer in an
        attribute of its own.
        """

    @abstractmethod
    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """How the trained model is called: raw requests in, people's units out. The first is the model's example."""

    def frozen(self, model: Any) -> Any | None:
        """The part of the model, from its input on, that training leaves alone, as a `keras.Model` without randomness.

        The trainer runs it once over the samples and trains the rest on what comes out (book 5.3.1). Default: none.
        """
        return None

    def row_words(self, model: Any) -> Sequence[str]:
        """The word of each row of the model's `Embedding` layers, for TensorBoard's projector.

        Default: as the layer in `model.words` numbers them (`StringLookup`, `TextVectorization`); none without it.
        """
        return model.words.get_vocabulary() if hasattr(model, "words") else ()

    def baseline(self, data: Data) -> Mapping[str, float]:
        """The common-sense figure to beat, on the test split: {metric: value}.

        Default by task: classify, the most frequent class's accuracy; regress, the MAE of predicting the median.
        """
        return _default_baseline(self.task, data)

    def evaluate(self, model: Any, samples: Samples, config: C) -> Mapping[str, float]:
        """Figures on a split. Default: what the model was compiled with."""
        results = model.evaluate(samples.in_order(EVALUATION_BATCH), verbose=0, return_dict=True)
        return {name: float(value) for name, value in results.items()}

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each sample as the raw instance a client would send, so that figures can be measured through the endpoint.

        Default: none, the plugin's figures are measured in memory only.
        """
        return iter(())

    def figures(self, model: Any, data: Data, config: C) -> Iterator[Figure]:
        """Extra pictures for the report. Default: none."""
        return iter(())

    def snapshot(self, model: Any) -> bytes | None:
        """What the model makes at the end of an epoch of its training, as PNG: kept in the run's folder and shown by
        TensorBoard. It must not draw from the random numbers that training draws from. Default: none.
        """
        return None

    def show(self, sample: Any) -> bytes | str:
        """One input, as the model takes it, for a person to see: PNG bytes or text. Default: its numbers."""
        return np.array2string(np.asarray(sample), threshold=20, precision=3)


def _default_baseline(task: Task, data: Data) -> Mapping[str, float]:
    seen, targets = data.train.targets, data.test.targets
    if task is Task.CLASSIFY and not isinstance(seen, Mapping):
        return {"accuracy": float(np.mean(targets == np.bincount(seen.reshape(-1).astype(np.int64)).argmax()))}
    if task is Task.REGRESS and not isinstance(seen, Mapping):
        return {"mae": float(np.mean(np.abs(targets - np.median(seen))))}
    raise FailedPrecondition(f"A plugin for {task}, or of several heads, states its own baseline. Received: none")
