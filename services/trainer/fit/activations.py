"""What each layer makes of one sample, epoch by epoch (book 7.2.1: the `ActivationLogger`)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np

from plugins.contract import Samples
from services.core.errors import InvalidArgument


class ActivationLog(keras.callbacks.Callback):
    """Writes `epoch-0001.npz`, ... into a folder: an array a layer, of the first of `samples`, named by the layer."""

    def __init__(self, samples: Samples, folder: Path) -> None:
        super().__init__()
        self._sample = next(iter(samples.take(np.arange(1)).in_order(1)))[0]
        self._folder = folder
        self._tapped: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Raises InvalidArgument for a model that hides its layers."""
        self._tapped = tapped(self.model)
        self._folder.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Ask the layers."""
        answers = self._tapped(self._sample, training=False)
        arrays: dict[str, Any] = {name: answer.numpy() for name, answer in answers.items()}
        np.savez(self._folder / f"epoch-{epoch + 1:04}.npz", **arrays)


def tapped(model: Any) -> Any:
    """A `keras.Model` that shares the layers and answers {layer: its output}.

    A layer that is called again, or gives several outputs, has `name`, `name:2`, `name:3`. Raises InvalidArgument for a
    model without a graph of layers.
    """
    graph = getattr(model, "_functional", model)  # where a Sequential keeps it
    # The graph has no public reader; `layer.output` fails for a layer that is called twice.
    if not hasattr(graph, "_nodes_by_depth"):
        raise InvalidArgument(
            f"log_activations is for a Sequential or functional model. Received: {type(model).__name__}"
        )
    seen: Counter[str] = Counter()
    outputs = {}
    nodes = [node for _, row in sorted(graph._nodes_by_depth.items(), reverse=True) for node in row]
    for node in nodes:
        for tensor in () if node.is_input else node.outputs:
            name = node.operation.name
            seen[name] += 1
            outputs[name if seen[name] == 1 else f"{name}:{seen[name]}"] = tensor
    return keras.Model(graph.input, outputs)
