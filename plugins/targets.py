"""Which answer an explanation is asked for."""

from __future__ import annotations

from plugins.contract import InputField

BEST = -1


def target_field(classes: int) -> InputField:
    """The input `target`; a person may give the class's label to the gateway instead."""
    return InputField(
        name="target",
        dtype="int32",
        description="number of the class to give reasons for; -1: the one with the best score",
        default=BEST,
        minimum=BEST,
        maximum=classes - 1,
    )
