"""A model that somebody has already becomes a version: its file, described and checked. No gate has seen it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import tensorflow as tf

from plugins.contract import Signature
from services.core.card import Card, Lineage
from services.core.errors import InvalidArgument
from services.core.refs import check_model_name
from services.store import Store
from services.trainer.progress import RunProgress
from services.trainer.release.check import check
from services.trainer.release.export import Exported, describe, export, signature_cards, tried
from services.trainer.release.file_signatures import Words, check_answers, of_keras, of_saved_model
from services.trainer.release.publishing import uploading

_KERAS = (".keras", ".h5", ".hdf5")
_Made = tuple[Mapping[str, Signature], Card, Exported]
_UNSEEN = "published from a file: neither measured here nor compared with a baseline"


@dataclass(frozen=True)
class OwnModel:
    """A file of Keras or the folder of a SavedModel, the model it becomes a version of, and what is said of it."""

    path: Path
    model: str
    title: str
    words: Words


def publish_own(own: OwnModel, store: Store, progress: RunProgress) -> int:
    """Make the file the next version; its number. It has no label yet.

    Raises InvalidArgument for a file that is no model or does not fit what is said of it, FailedPrecondition when a
    fresh model server does not answer as the model in this process does.
    """
    check_model_name(own.model)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "export"
        progress.step(f"reading {own.path}")
        card, exported = _exported(own, folder)
        progress.step("checking in a fresh model server")
        check(folder, card, exported)
        progress.step("publishing")
        return store.publish(own.model, folder, uploading(progress))


def _exported(own: OwnModel, folder: Path) -> tuple[Card, Exported]:
    try:
        signatures, card, exported = _saved_model(own, folder) if own.path.is_dir() else _keras(own, folder)
        for name, signature in signatures.items():
            check_answers(signature, exported.examples[name])
    except (tf.errors.OpError, ValueError, TypeError) as error:  # the model's; ours are TensorgateErrors
        raise InvalidArgument(
            "A model answers an example of its inputs: of zeros, unless --example FILE gives another. Received: "
            f"{type(error).__name__}: {_first_line(error)}"
        ) from error
    return card, exported


def _keras(own: OwnModel, folder: Path) -> _Made:
    if own.path.suffix not in _KERAS or not own.path.is_file():
        raise InvalidArgument(
            f"A model is a file {' or '.join(_KERAS)}, or the folder of a SavedModel. Received: {own.path}, which "
            + ("is another kind of file" if own.path.exists() else "is not there")
        )
    try:
        model = keras.saving.load_model(own.path, compile=False)
    except Exception as error:  # whatever somebody's file and its layers raise; Keras has no error of its own for it
        raise InvalidArgument(
            "A file is a model that Keras loads by itself; one with layers of its own is written as a SavedModel: "
            f"model.export(folder). Received: {own.path}: {type(error).__name__}: {_first_line(error)}"
        ) from error
    signatures = of_keras(model, own.words)
    card = _card(own, signatures)
    return signatures, card, export(model, signatures, card, folder)


def _saved_model(own: OwnModel, folder: Path) -> _Made:
    if not (own.path / "saved_model.pb").is_file():
        raise InvalidArgument(f"The folder of a SavedModel has a saved_model.pb. Received: {own.path}, which has none")
    try:
        loaded = tf.saved_model.load(str(own.path))
    except Exception as error:  # as above
        raise InvalidArgument(
            f"A SavedModel is loaded by TensorFlow alone. Received: {own.path}: {type(error).__name__}: "
            f"{_first_line(error)}"
        ) from error
    signatures = of_saved_model(loaded, own.words)
    card = _card(own, signatures)
    exported = tried(signatures)
    shutil.copytree(own.path, folder)
    describe(folder, card, exported)
    return signatures, card, exported


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")[:300]


def _card(own: OwnModel, signatures: Mapping[str, Signature]) -> Card:
    return Card(
        model=own.model,
        task=own.words.task,
        title=own.title or own.model,
        description=f"From {own.path.name}",
        signatures=signature_cards(signatures),
        metrics={},
        baseline={},
        warnings=(_UNSEEN,),
        lineage=Lineage(
            plugin="",
            variant="",
            run="",
            seed=0,
            config={"file": own.path.name},
            code=version("tensorgate"),
            created=datetime.now(UTC),
        ),
    )
