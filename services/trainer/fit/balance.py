"""Weights against skewed data: a rare class counts as much in the loss as a frequent one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plugins.contract import Columns
from services.core.card import Task
from services.core.errors import InvalidArgument


def class_weights(task: Task, targets: Columns) -> Mapping[int, float]:
    """A weight a class for `model.fit`: the inverse of its share of the samples, divided by the number of classes.

    So the mean weight of a sample is 1 and the loss keeps its scale (after King and Zeng 2001, as scikit-learn's
    "balanced"). `targets` are class numbers [N] or [N, 1]. Raises InvalidArgument for any others.
    """
    if isinstance(targets, Mapping):
        raise InvalidArgument(f"balance_classes is for models of one head. Received: {', '.join(targets)}")
    if task is not Task.CLASSIFY or targets.size != len(targets):
        raise InvalidArgument(
            f"balance_classes is for a task of {Task.CLASSIFY} with one class number a sample. "
            f"Received: {task} with targets of shape {list(targets.shape)}"
        )
    classes, counts = np.unique(targets, return_counts=True)
    return dict(zip(classes.astype(int).tolist(), (targets.size / (len(classes) * counts)).tolist(), strict=True))
