"""`--set` and variants."""

from __future__ import annotations

import pytest

from services.core.errors import InvalidArgument
from services.trainer.configuration import resolve_config, variant_of
from tests.trainer.tiny_plugin import PLUGIN


def test_overrides_win_over_the_variant_which_wins_over_the_defaults() -> None:
    assert resolve_config(PLUGIN, None).model_dump()["units"] == 8
    assert resolve_config(PLUGIN, "stuck").model_dump()["units"] == 1
    assert resolve_config(PLUGIN, "stuck", ["units=5", "units = 6"]).model_dump()["units"] == 6


def test_values_get_the_field_s_type() -> None:
    config = resolve_config(PLUGIN, None, ["epochs=5", "keep_best=false", "early_stopping_patience=2"])
    assert (config.epochs, config.keep_best, config.early_stopping_patience) == (5, False, 2)
    assert resolve_config(PLUGIN, None, ["early_stopping_patience=none"]).early_stopping_patience is None


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("epochs", "key=value. Received: 'epochs'"),
        ("epoch=5", "seed, epochs, .*units.*. Received: 'epoch'"),
        ("epochs=five", "epochs: .*integer.*Received: 'five'"),
        ("epochs=0", "epochs: .*greater than or equal to 1.*Received: '0'"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_rule_and_the_value(override: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        resolve_config(PLUGIN, None, [override])


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match=r"dense, stuck\. Received: 'wide'"):
        resolve_config(PLUGIN, "wide")


def test_the_first_variant_is_the_default() -> None:
    assert variant_of(PLUGIN, None)[0] == "dense"
