"""Variants side by side: nothing is published, and one page says who overfits from when."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from rich.console import Console

from plugins.contract import KFold, Untrained, Variant
from services.core.errors import InvalidArgument
from services.store import open_store
from services.trainer.comparison import Compared, CompareRequest, Comparison, compare, draw_comparison
from services.trainer.journal import Bench
from services.trainer.progress import PlainProgress
from services.trainer.run_record import MetricRecord
from tests.trainer.tiny_plugin import Tiny
from tests.trainer.train_tiny import NoDatasets


class Several(Tiny):
    """Variants whose comparison has something to show."""

    variants = MappingProxyType(
        {
            "dense": Variant("one <layer>"),
            "wide": Variant("64 units", settings={"units": 64}),
            "folds": Variant("in three folds", protocol=KFold(folds=3)),
            "rule": Variant("as it is", protocol=Untrained()),
        }
    )


def bench(home: Path) -> Bench:
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    return Bench(Several(), NoDatasets(), open_store(str(home / "store")), home / "comparisons", progress)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    request = CompareRequest("tiny", ("dense", "wide", "folds"), ("epochs=4",))
    return compare(request, bench(tmp_path_factory.mktemp("home")))


def test_each_variant_has_its_curves_and_its_size(compared: tuple[Path, Comparison]) -> None:
    _, comparison = compared
    assert [one.variant for one in comparison.variants] == ["dense", "wide", "folds"]
    assert [one.parameters for one in comparison.variants] == [67, 459, 67]
    assert {len(one.history["val_loss"]) for one in comparison.variants} == {4}
    dense, wide, _ = (one.history["loss"] for one in comparison.variants)
    assert dense != wide


def test_nothing_is_published(compared: tuple[Path, Comparison]) -> None:
    folder, _ = compared
    assert not any((folder.parent.parent / "store").rglob("*.json"))


def test_the_folder_keeps_the_page_the_picture_and_the_figures(compared: tuple[Path, Comparison]) -> None:
    folder, comparison = compared
    assert Comparison.model_validate_json((folder / "comparison.json").read_text()) == comparison
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert "one &lt;layer&gt;" in page and "459" in page and "epochs=4" in page
    assert page.count("data:image/png;base64,") == 1


def test_a_variant_in_folds_is_told_by_the_mean_of_its_folds(compared: tuple[Path, Comparison]) -> None:
    folder, comparison = compared
    lines = (folder / "folds" / "metrics.jsonl").read_text()
    assert [lines.count(f'"fold {number}"') for number in (1, 2, 3)] == [4, 4, 4]
    assert np.isfinite(comparison.variants[2].history["val_accuracy"]).all()


def one(name: str, losses: Sequence[float]) -> Compared:
    history = {"loss": tuple(losses), "val_loss": tuple(losses), "val_accuracy": tuple(losses)}
    return Compared(variant=name, summary="", parameters=1, config={}, seconds=0, history=history)


def test_a_variant_overfits_from_where_its_validation_loss_is_lowest() -> None:
    assert (one("a", (3, 1, 2)).best_epoch, one("a", (3, 1, 2)).overfits) == (2, True)
    assert (one("a", (3, 2, 1)).best_epoch, one("a", (3, 2, 1)).overfits) == (3, False)
    assert one("a", (float("nan"), 2, 3)).best_epoch == 2


@pytest.mark.parametrize("count", [2, 4, 10])
def test_any_number_of_variants_can_be_drawn(count: int) -> None:
    variants = tuple(one(f"variant {number}", (3, number, 2)) for number in range(count))
    metric = MetricRecord(name="accuracy", higher_is_better=True)
    drawn = Comparison(
        plugin="a", title="A", metric=metric, overrides=(), created=datetime(2026, 1, 1, tzinfo=UTC), variants=variants
    )
    assert draw_comparison(drawn).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("variants", "overrides", "said"),
    [
        (("dense",), (), "Two variants or more"),
        (("dense", "dense"), (), "each once"),
        (("dense", "deep"), (), "A variant of tiny is one of"),
        (("dense", "rule"), (), "which is not validated"),
        (("dense", "wide"), ("epoch=3",), "A setting is one of"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_training(
    variants: tuple[str, ...], overrides: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=said):
        compare(CompareRequest("tiny", variants, overrides), bench(tmp_path))
    assert not (tmp_path / "comparisons").exists()
