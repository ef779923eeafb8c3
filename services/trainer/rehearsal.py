"""A rehearsal: a model that is not trained meets the data and what follows training, before hours go into one that is.

It is built for this, and dropped: what is trained is built anew from its seed, as if there had been no rehearsal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plugins.contract import Data, Untrained
from services.core.errors import InvalidArgument
from services.trainer.data import Part, parts_of
from services.trainer.faults import told
from services.trainer.fit.figures import evaluates_as_compiled, figures_on, meeting
from services.trainer.fit.fitting import fresh_model
from services.trainer.fit.recipe import Recipe
from services.trainer.heads import check_targets, head_fields, heads_of
from services.trainer.release.signatures import example_of, signatures_of, traced

_ROWS = 7  # and not 1 or 2, which are broadcast to answers of any width, and to the usual one


def rehearse(recipe: Recipe, data: Data) -> None:
    """Raises InvalidArgument for what would else be found out by training, or by what follows it."""
    if isinstance(recipe.protocol, Untrained):
        return  # what follows comes at once
    _check_rows(Part("train", data.train))
    plugin = recipe.plugin
    model = fresh_model(replace(recipe, crew=None), recipe.config.seed, data.train)
    signatures = signatures_of(plugin, model)
    heads = head_fields(signatures)
    for part in parts_of(data):
        check_targets(heads, part)
        if evaluates_as_compiled(plugin):  # else it may need more rows
            _check_rows(part)
            figures_on(_some(part), model, recipe)
    some = _some(Part("test", data.test))
    with meeting(some, model, recipe):
        heads_of(heads, model, some.samples)
    with told(plugin, f"Signatures of plugin {plugin.name} are traced by TensorFlow"):
        traced(signatures)
    for name, signature in signatures.items():
        example_of(name, signature)


def _some(part: Part) -> Part:
    return Part(part.name, part.samples.take(np.arange(min(_ROWS, len(part.samples)))))


def _check_rows(part: Part) -> None:
    if not len(part.samples):
        raise InvalidArgument(f"load_data gives a sample or more. Received: none in {part.name}")
