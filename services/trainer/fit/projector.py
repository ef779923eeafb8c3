"""The words of a model for TensorBoard's projector, which shows their vectors as points (book 7.2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from google.protobuf import text_format
from tensorboard.plugins.projector import ProjectorConfig

_WORDS = "metadata.tsv"


def write_projector(folder: Path, model: Any, words: Sequence[str]) -> None:
    """Write the table of each `Embedding` layer with as many rows as there are words, and the word of each row.

    Nothing is written where there is no such layer. TensorBoard finds `projector_config.pbtxt` in the folder of a run.
    """
    parts = model._flatten_layers()  # private; no public reader sees into layers made of layers
    tables = [part for part in parts if isinstance(part, keras.layers.Embedding) and part.input_dim == len(words)]
    if not tables:
        return
    folder.mkdir(parents=True, exist_ok=True)
    config = ProjectorConfig()
    for layer in tables:
        config.embeddings.add(tensor_name=layer.name, tensor_path=f"{layer.name}.tsv", metadata_path=_WORDS)
        np.savetxt(folder / f"{layer.name}.tsv", np.asarray(layer.embeddings), fmt="%.6g", delimiter="\t")
    (folder / _WORDS).write_text("".join(f"{_line(word)}\n" for word in words), encoding="utf-8")
    (folder / "projector_config.pbtxt").write_text(text_format.MessageToString(config))


def _line(word: str) -> str:
    """TensorBoard passes over empty lines, and takes a tab for the end of a column."""
    return word if word.isprintable() and word.strip() else repr(word)
