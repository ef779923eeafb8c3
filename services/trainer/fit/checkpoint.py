"""The last epoch's checkpoint: every number a fit needs to go on as if it had never been killed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from services.trainer.run_folder import RunFolder
from services.trainer.run_record import History

Epoch = Mapping[str, float]  # an epoch's figures by name


@dataclass(frozen=True)
class Progressed:
    """How far a fit came: the figures of each epoch, and whether a callback ended it."""

    epochs: tuple[Epoch, ...] = ()
    stopped: bool = False

    @property
    def history(self) -> History:
        """The figures by name."""
        return {name: tuple(epoch[name] for epoch in self.epochs) for name in self.epochs[-1]} if self.epochs else {}

    def is_end(self, epochs: int) -> bool:
        """Is there nothing left to train, of so many epochs?"""
        return self.stopped or len(self.epochs) == epochs


class StateFile:
    """Weights, optimizer, seed generators and figures in one file, replaced in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, model: Any, progressed: Progressed) -> None:
        """Keep the state after an epoch."""
        arrays = {f"v{number}": variable.numpy() for number, variable in enumerate(_variables(model))}
        words = json.dumps({"epochs": progressed.epochs, "stopped": progressed.stopped})
        new = self._path.with_name(f".{self._path.name}.new")
        with new.open("wb") as file:
            np.savez(file, words=np.array(words), **arrays)
        new.replace(self._path)

    def read(self) -> Progressed:
        """How far the fit came that wrote this file; nowhere if there is none."""
        if not self._path.exists():
            return Progressed()
        with np.load(self._path) as stored:
            words = json.loads(str(stored["words"]))
        return Progressed(tuple(words["epochs"]), words["stopped"])

    def restore(self, model: Any) -> None:
        """Set the state that `write` kept, on a model built alike."""
        with np.load(self._path) as stored:
            for number, variable in enumerate(_variables(model)):
                variable.assign(stored[f"v{number}"])


def state_file(folder: RunFolder, stage: str) -> StateFile:
    """How far a model of the run came."""
    return StateFile(folder.checkpoints(stage) / "state.npz")


def _variables(model: Any) -> list[Any]:
    """Everything that changes while training: weights, seed generators' counters, the optimizer's own.

    A part of the model may have been compiled too: a discriminator has its own optimizer.
    """
    parts = model._flatten_layers()  # private; no public reader sees into layers made of layers
    optimizers = [part.optimizer for part in parts if getattr(part, "optimizer", None) is not None]
    return [*model.variables, *(variable for optimizer in optimizers for variable in optimizer.variables)]


class Checkpoint(keras.callbacks.Callback):
    """Writes the state after each epoch; when a fit goes on, sets it and shows `followers` what they missed.

    `followers` are callbacks that count epochs (EarlyStopping, ReduceLROnPlateau); this one comes after them.
    """

    def __init__(self, file: StateFile, followers: Sequence[Any]) -> None:
        super().__init__()
        self._file = file
        self._followers = followers
        self.progressed = file.read()

    def on_train_begin(self, logs: Any = None) -> None:
        """Go on from where the file says."""
        if not self.progressed.epochs:
            return
        for number, epoch in enumerate(self.progressed.epochs):
            for follower in self._followers:
                follower.on_epoch_end(number, dict(epoch))
        self._file.restore(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep what this epoch gave."""
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self.progressed = Progressed((*self.progressed.epochs, figures), bool(self.model.stop_training))
        self._file.write(self.model, self.progressed)
