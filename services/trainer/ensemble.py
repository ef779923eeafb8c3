"""Ensembles: one model that averages several trained ones, by weights found on validation data (book 7.3.3).

An ensemble is a plugin of its own whose model comes as it is, so it walks the same road as any other: baseline,
evaluation on the test split, gate, export, check, publish.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from scipy.optimize import minimize

from plugins.contract import (
    Array,
    Config,
    Data,
    Datasets,
    Plugin,
    Samples,
    Signature,
    Task,
    Untrained,
    Variant,
)
from services.core.errors import FailedPrecondition, InvalidArgument
from services.trainer.data import load
from services.trainer.engines import LOCAL, engine_of
from services.trainer.fit.precision import make_deterministic
from services.trainer.fit.protocols import cuts
from services.trainer.heads import as_scores
from services.trainer.journal import Bench
from services.trainer.members import MembersRequest, find_members, plugin_of, recipe_of
from services.trainer.pipeline import TrainRequest, bench_of, fit_all, model_name, train
from services.trainer.run_record import RunRecord
from services.trainer.settings import TrainerSettings

_AVERAGED = ("scores", "values")
_WORTH = 1e-3  # of the loss: a member without which it does not rise by more brings nothing
_EPSILON = 1e-7


class EnsembleConfig(Config):
    """Which runs are averaged, and how much each counts."""

    members: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Member:
    """A run's model, and the samples that it reads: the same rows as the others', perhaps read in another way."""

    run: str
    model: Any
    data: Data
    validation: Array  # row numbers of data.train that it was validated on

    def answers(self) -> Array:
        """What it says on its validation samples: scores [N, C] or values [N, K]."""
        answer = self.model.predict(self.data.train.take(self.validation).in_order(64), verbose=0)
        if not isinstance(answer, np.ndarray) or answer.ndim != 2:
            raise InvalidArgument(f"A member of an ensemble answers one table of rows. Received: run {self.run}")
        return answer


@dataclass(frozen=True)
class EnsembleRequest(MembersRequest):
    """What a person asks for."""

    model: str | None = None  # the plugin's name
    engine: str = LOCAL  # where members are trained


def ensemble_and_publish(request: EnsembleRequest, settings: TrainerSettings) -> RunRecord:
    """Average models of an installed plugin, trained on this machine or now, and publish the result.

    Raises TensorgateError.
    """
    bench = bench_of(plugin_of(request.members[0], settings.runs), settings)
    with engine_of(request.engine, settings) as engine:
        return ensemble(request, replace(bench, engine=engine))


def ensemble(request: EnsembleRequest, bench: Bench) -> RunRecord:
    """Train the members that are no finished runs yet, find the models' weights, and publish their average.

    Raises FailedPrecondition for members that were not validated alike, and for one that brings nothing.
    """
    model_name(request.model, bench.plugin)
    runs = find_members(request, bench)
    members = [_member(run, bench) for run in runs]
    first = members[0]
    if any(not np.array_equal(member.validation, first.validation) for member in members):
        raise FailedPrecondition(f"Members are validated on the same samples. Received: {', '.join(runs)}")
    table = as_scores if bench.plugin.task is Task.CLASSIFY else np.asarray
    answers = [table(member.answers()) for member in members]
    loss = Loss(bench.plugin.task, first.data.train.targets[first.validation])
    weights = best_weights(answers, loss)
    _check_worth(runs, answers, loss)
    told = ", ".join(f"{run} {weight:.2f}" for run, weight in zip(runs, weights, strict=True))
    bench.progress.step(f"weights: {told}")
    plugin = Ensemble(bench.plugin, members, weights)
    return train(TrainRequest(plugin.name, model=request.model), replace(bench, plugin=plugin))


def _member(run: str, bench: Bench) -> Member:
    """A finished run's model, from its checkpoint: nothing is trained."""
    recipe = recipe_of(run, bench)
    config = recipe.config
    make_deterministic(config)
    data = load(bench.plugin, config, bench.datasets)
    model, _, _ = fit_all(recipe, data.train)
    return Member(run, model, data, cuts(recipe.protocol, len(data.train), config.rows_seed)[0].validation)


@dataclass(frozen=True)
class Loss:
    """What weights are judged by: the mean of -log of the right class's score, or the mean absolute error."""

    task: Task
    targets: Array

    def __call__(self, answers: Array) -> float:
        """Of scores [N, C] or values [N, K]."""
        if self.task is Task.CLASSIFY:
            right = answers[np.arange(len(answers)), self.targets.reshape(-1).astype(int)]
            return float(-np.log(np.clip(right, _EPSILON, 1)).mean())
        return float(np.abs(answers - self.targets.reshape(answers.shape)).mean())


def best_weights(answers: Sequence[Array], loss: Loss) -> tuple[float, ...]:
    """Weights that are not negative, add up to 1, and give the average answer the least loss.

    Nelder and Mead 1965, as the book advises; the simplex is searched through the squares of free numbers.
    """

    def of(free: Array) -> Array:
        squares = np.square(free)
        return squares / max(float(squares.sum()), _EPSILON)

    stacked = np.stack(answers)
    found = minimize(lambda free: loss(np.tensordot(of(free), stacked, 1)), np.ones(len(answers)), method="Nelder-Mead")
    return tuple(float(weight) for weight in of(found.x))


def _check_worth(runs: Sequence[str], answers: Sequence[Array], loss: Loss) -> None:
    """Raises FailedPrecondition naming a member without which the others do as well."""
    together = _least(answers, loss)
    for number, run in enumerate(runs):
        without = _least([*answers[:number], *answers[number + 1 :]], loss)
        if without <= together * (1 + _WORTH):
            raise FailedPrecondition(
                f"Each member of an ensemble makes it better on validation data. Received: {run}, without which the "
                f"loss is {without:.5g} instead of {together:.5g}"
            )


def _least(answers: Sequence[Array], loss: Loss) -> float:
    return loss(np.tensordot(best_weights(answers, loss), np.stack(answers), 1))


class Ensemble(Plugin[EnsembleConfig]):
    """A plugin that is trained members of another one."""

    config = EnsembleConfig
    protocol = Untrained()

    def __init__(self, base: Plugin[Any], members: Sequence[Member], weights: Sequence[float]) -> None:
        self.base, self.members, self.weights = base, members, weights
        names = ("name", "title", "task", "metric")
        for name in names:  # of this instance: each ensemble is of its own plugin
            setattr(self, name, getattr(base, name))
        settings = {"members": tuple(member.run for member in members), "weights": tuple(weights)}
        self.variants = MappingProxyType(  # type: ignore[misc]  # as above
            {"ensemble": Variant(f"the weighted average of {len(members)} models", settings)}
        )

    def load_data(self, config: EnsembleConfig, datasets: Datasets) -> Data:
        """Each member's inputs under its number."""
        return Data(*(_merged([getattr(m.data, split) for m in self.members]) for split in ("train", "test")))

    def build_model(self, config: EnsembleConfig, variant: str, train: Samples) -> Any:
        """The weighted average of the members' answers."""
        ends = {name: _ends(member.model) for name, member in self._named()}
        inputs = {name: _inputs_like(taken, name) for name, (taken, _) in ends.items()}
        members = {name: keras.Model(*both, name=f"{name}_model") for name, both in ends.items()}
        answers = [members[name](inputs[name]) * weight for (name, _), weight in self._weighted()]
        model = keras.Model(inputs, reduce(lambda one, other: one + other, answers), name="ensemble")
        model.compile_from_config(self.members[0].model.get_compile_config())
        return model

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """Those that every member has with the same fields; scores and values are averaged, other outputs dropped."""
        every = [self.base.signatures(member.model) for member in self.members]
        common = {
            name: [signatures[name] for signatures in every]
            for name in every[0]
            if all(name in s and s[name].inputs == every[0][name].inputs for s in every)
        }
        averaged = {name: self._averaged(signatures) for name, signatures in common.items()}
        return {name: signature for name, signature in averaged.items() if signature.outputs}

    def _averaged(self, signatures: Sequence[Signature]) -> Signature:
        first = signatures[0]
        fields = [field for field in first.outputs if field.content in _AVERAGED]

        def function(*inputs: Any) -> Mapping[str, Any]:
            answers = [signature.function(*inputs) for signature in signatures]
            weighted = list(zip(answers, self.weights, strict=True))
            return {field.name: sum(answer[field.name] * weight for answer, weight in weighted) for field in fields}

        return Signature(first.task, function, first.inputs, fields, first.example, first.description)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """The base plugin's."""
        return self.base.baseline(self.members[0].data)

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """The first member's."""
        name, member = next(self._named())
        return self.base.requests(Samples(samples.inputs[name], samples.targets, member.data.test.read))

    def show(self, sample: Any) -> bytes | str:
        """As the base plugin shows it."""
        return self.base.show(next(iter(sample.values())))

    def _named(self) -> Iterator[tuple[str, Member]]:
        return ((f"member_{number}", member) for number, member in enumerate(self.members))

    def _weighted(self) -> Iterator[tuple[tuple[str, Member], float]]:
        return zip(self._named(), self.weights, strict=True)


def _ends(model: Any) -> tuple[Any, Any]:
    """What it takes and what it answers; a Sequential that no other model holds tells them as lists only."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def _inputs_like(inputs: Any, name: str) -> Any:
    """New inputs of the same shapes and types: one tensor of that name, or several whose names begin with it."""
    paths = keras.tree.flatten(inputs)
    names = iter([name] if len(paths) == 1 else [f"{name}_{tensor.name}" for tensor in paths])
    return keras.tree.map_structure(lambda t: keras.Input(t.shape[1:], dtype=t.dtype, name=next(names)), inputs)


def _merged(samples: Sequence[Samples]) -> Samples:
    """The same rows, as each member reads them."""
    reads = {f"member_{number}": one.read or (lambda inputs: inputs) for number, one in enumerate(samples)}
    inputs = {f"member_{number}": one.inputs for number, one in enumerate(samples)}
    return Samples(inputs, samples[0].targets, lambda batch: {name: read(batch[name]) for name, read in reads.items()})
