"""Models that are trained by XLA or in 16 bits are published like any others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorflow.python.framework.config import is_op_determinism_enabled

from plugins.contract import Samples
from services.trainer.fit.precision import make_deterministic
from services.trainer.pipeline import fit_all
from tests.trainer.tiny_plugin import Tiny, TinyConfig, draw, recipe_of


@pytest.fixture(autouse=True)
def _deterministic_afterwards() -> Iterator[None]:
    """The process is as the tests after these expect it."""
    yield
    make_deterministic(TinyConfig())


class Remembering(Tiny):
    """Remembers in which types its models were built to compute."""

    def __init__(self) -> None:
        self.built: list[str] = []

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        self.built.append(keras.config.dtype_policy().compute_dtype)
        return super().build_model(config, variant, train)


def test_what_was_trained_in_16_bits_answers_in_32(tmp_path: Path) -> None:
    plugin = Remembering()
    model, (validated,), _ = fit_all(recipe_of(plugin, tmp_path, TinyConfig(mixed_precision=True)), draw(300, 1))
    assert plugin.built == ["bfloat16", "float32"]
    assert validated.metrics["accuracy"] > 0.7
    scores = plugin.signatures(model)["classify"].function(draw(20, 2).inputs)["scores"].numpy()
    assert scores.dtype == np.float32
    assert np.any(scores != scores.astype("bfloat16").astype(np.float32))
    assert keras.config.dtype_policy().name == "float32"


def test_a_model_trained_by_xla_learns_the_same(tmp_path: Path) -> None:
    figures = []
    for name, config in (("plain", TinyConfig()), ("xla", TinyConfig(jit_compile=True))):
        make_deterministic(config)
        assert is_op_determinism_enabled() is not config.jit_compile
        _, (validated,), _ = fit_all(recipe_of(Tiny(), tmp_path / name, config), draw(300, 1))
        figures.append(validated.history["loss"])
    np.testing.assert_allclose(figures[0], figures[1], rtol=0.05)
