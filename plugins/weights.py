"""Weights that others trained, on their way from a dataset to the network they belong to."""

from __future__ import annotations

from collections.abc import Mapping

from plugins.contract import Array, Dataset, Datasets, Unavailable


def named_after(network: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """The arrays under names that begin with the network's, so that those of several share a mapping."""
    return {f"{network}/{name}": array for name, array in arrays.items()}


def weights_of(network: str, assets: Mapping[str, Array]) -> Mapping[str, Array]:
    """A network's arrays, by the names they had before `named_after`. Raises Unavailable."""
    start = f"{network}/"
    found = {name.removeprefix(start): array for name, array in assets.items() if name.startswith(start)}
    if not found:
        raise Unavailable(f"The weights of {network} come from a mirror or Keras's address. Received: none")
    return found


def if_reached(datasets: Datasets, weights: Dataset) -> Mapping[str, Array]:
    """None where they cannot be had: a plugin's other variants may do without."""
    try:
        return datasets.fetch(weights)
    except Unavailable:
        return {}
