"""The report tells what came of a run, whole in one file, whatever the task was."""

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from plugins.contract import BookFigure, Figure, OutputField, Task
from services.trainer.heads import Head
from services.trainer.report.answers import confusion_matrix
from services.trainer.report.curves import draw_smoothed, mean_curve, smoothed
from services.trainer.report.diagram import boxes_of, draw_diagram
from services.trainer.report.page import bars, beside_book, figure_text, fold_rows, overfitting, write_report
from services.trainer.run_record import (
    Answers,
    MetricRecord,
    Mistake,
    Report,
    RunRecord,
    RunState,
    StageRecord,
    Verdict,
)


def png(level: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("L", (2, 2), level).save(encoded, "PNG")
    return encoded.getvalue()


def stage(name: str, values: tuple[float, ...]) -> StageRecord:
    history = {"loss": values, "mae": values, "val_loss": values, "val_mae": values}
    return StageRecord(name=name, metrics={"mae": values[-1]}, best_epoch=int(np.argmin(values)) + 1, history=history)


def record(**changes: Any) -> RunRecord:
    whole = RunRecord(
        id="20260101-000000-houses-dense",
        plugin="houses",
        variant="dense",
        title="Prices <of> houses",
        task=Task.REGRESS,
        model="houses",
        config={"epochs": 3, "early_stopping_patience": None},
        seed=1,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        state=RunState.PUBLISHED,
        metric=MetricRecord(name="mae", higher_is_better=False, unit="thousand dollars"),
        book=BookFigure(metric="mae", value=2.4, section="3.6"),
        baseline={"mae": 6.5},
        folds=(stage("fold 1", (5.0, 3.0, 4.0)), stage("fold 2", (5.0, 2.0, 3.0))),
        final=StageRecord(name="final", best_epoch=2, history={"loss": (4.0, 2.0), "mae": (4.0, 2.0)}),
        parameters=1_234,
        metrics={"mae": 2.6},
        interval=(2.2, 3.04),
        gate=Verdict(passed=True, reasons=("mae 2.6 beats the baseline 6.5",)),
        version=3,
        label="stable",
        size=98_765,
    )
    return whole.model_copy(update=changes)


VALUES = OutputField(name="values", dtype="float32", content="values", unit="thousand dollars")
SCORES = OutputField(name="scores", dtype="float32", content="scores", labels=("eel", "dog", "cat"))


@pytest.fixture(scope="module")
def model() -> Any:
    left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
    joined = keras.layers.Concatenate(name="joined")([left, right])
    return keras.Model([left, right], keras.layers.Dense(4, name="answer")(joined))


def test_a_model_that_came_as_it_is_gets_a_report_without_curves(tmp_path: Path, model: Any) -> None:
    untrained = StageRecord(name="final", best_epoch=0, history={})
    page = written(tmp_path, Report(record(folds=(), final=untrained), model))
    assert "Not trained" in page and "Curves of" not in page


def test_a_regression_report_is_one_file_with_every_picture_in_it(tmp_path: Path, model: Any) -> None:
    truth = np.array([20.0, 30.0, 25.0])
    mistakes = [Mistake("rm 6.5 & crim <0.1>", "30", "20", 10.0)]
    head = Head(VALUES, "mae", truth, truth[:, None] + 1)
    page = written(tmp_path, Report(record(), model, [Answers(head, mistakes)]))
    assert "Half of the answers are within 1 thousand dollars of the truth" in page
    assert "Prices &lt;of&gt; houses" in page and "rm 6.5 &amp; crim &lt;0.1&gt;" in page
    assert "published as version 3" in page
    assert "mae 2.6 beats the baseline 6.5" in page
    assert "95 % interval 2.2 to 3.04" in page
    assert "1,234 parameters, 99 kB in the store." in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 3 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert {"curves.png", "diagram.png"} <= {file.name for file in tmp_path.iterdir()}


def test_a_classification_report_says_what_is_mixed_up(tmp_path: Path, model: Any) -> None:
    scores = np.eye(3)[[0, 1, 1, 1]]
    mistakes = [Mistake(png(0), "cat", "dog", 1.0)]
    figures = [Figure("filters", "What it looks at", png(9))]
    head = Head(SCORES, "accuracy", np.array([0, 1, 2, 2]), scores)
    page = written(tmp_path, Report(record(task=Task.CLASSIFY), model, [Answers(head, mistakes)], figures))
    assert "2 of 4 answers are wrong. The most frequent mistake: cat taken for dog, 2 times." in page
    assert "What it looks at" in page
    row = re.search("<td>cat</td>(.*)</tr>", page)
    assert row is not None  # precision, recall and F1 of a class that is never answered
    assert re.sub("<[^>]*>", " ", row.group(1)).split() == ["&ndash;", "0.000", "0.000", "2"]


def test_of_several_heads_each_has_its_picture_and_its_mistakes(tmp_path: Path, model: Any) -> None:
    values, scores = np.array([[20.0], [30.0]]), np.eye(3)[:2]
    kind = Answers(Head(SCORES.model_copy(update={"name": "kind"}), "kind_accuracy", np.array([0, 1]), scores))
    price = Answers(
        Head(VALUES.model_copy(update={"name": "price"}), "price_mae", values, values + 1),
        [Mistake("a ruin", "20", "21", 1)],
    )
    page = written(tmp_path, Report(record(task=Task.CLASSIFY), model, [kind, price]))
    assert page.index("Right and wrong: kind") < page.index("Answers and truth: price") < page.index("a ruin")
    assert page.count("Worst mistakes") == 1


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.REJECTED])
def test_a_run_that_came_to_nothing_has_a_report_too(state: RunState, tmp_path: Path, model: Any) -> None:
    bare = record(state=state, error="ValueError: no", folds=(), final=None, metrics={}, baseline={}, gate=None)
    page = written(tmp_path, Report(bare.model_copy(update={"version": None, "book": None}), model))
    assert "ValueError: no" in page and "Ask it" not in page


def written(folder: Path, report: Report) -> str:
    write_report(folder, report)
    return (folder / "report.html").read_text()


def test_the_bars_stand_in_proportion() -> None:
    shares = {bar.label: round(bar.share, 3) for bar in bars(record())}
    assert shares == {"this run": 0.4, "mean of the folds": 0.538, "the book, 3.6": 0.369, "baseline": 1.0}


def test_lower_or_higher_is_better_as_the_metric_says() -> None:
    assert beside_book(record()) == "behind the book's 2.4"
    assert beside_book(record(metric=MetricRecord(name="mae", higher_is_better=True))) == "as good as the book's 2.4"
    assert beside_book(record(book=None)) == ""


def test_overfitting_is_told_from_the_mean_of_the_folds() -> None:
    assert overfitting(record()) == "Validation was best in epoch 2 of 3 (mae 2.5) and ended at 3.5."
    assert overfitting(record(folds=(stage("hold-out", (3.0, 2.0)),))).startswith(
        "Validation was best in the last of 2"
    )
    assert overfitting(record(folds=())) == ""


def test_folds_end_with_mean_and_spread() -> None:
    rows = dict(fold_rows(record()))
    assert rows["mean"] == {"mae": 3.5}
    assert rows["standard deviation"]["mae"] == pytest.approx(0.5**0.5)


def test_a_mean_curve_is_as_long_as_its_shortest() -> None:
    assert mean_curve([{"loss": (1.0, 2.0, 3.0)}, {"loss": (3.0, 4.0)}, {}], "loss") == [2.0, 3.0]


def test_a_smoothed_curve_begins_after_ten_points_and_follows_slowly() -> None:
    assert smoothed([*[100.0] * 10, 2.0, 3.0, 1.0]) == pytest.approx([2.0, 2.1, 1.99])
    assert smoothed([1.0] * 10) == []


def test_only_a_long_training_is_shown_smoothed(tmp_path: Path, model: Any) -> None:
    assert draw_smoothed(record()) is None
    long = record(folds=(stage("fold 1", (5.0,) * 21), stage("fold 2", tuple(map(float, range(30))))))
    assert (draw_smoothed(long) or b"").startswith(b"\x89PNG")
    assert "exponential moving average" in written(tmp_path, Report(long, model))
    assert "exponential moving average" not in written(tmp_path, Report(record(), model))


def test_the_confusion_matrix_counts_right_class_by_answer() -> None:
    counts = confusion_matrix(np.array([[0], [1], [1]]), np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]))
    assert counts.tolist() == [[1, 0], [1, 1]]


def test_figures_are_written_for_people() -> None:
    assert [figure_text(value) for value in (0.99312, 2.5532, 60000, 0.5)] == ["0.9931", "2.553", "60,000", "0.5"]


def test_the_diagram_knows_who_feeds_whom(model: Any) -> None:
    boxes = boxes_of(model)
    answer = next(box for box in boxes if box.name == "answer")
    joined = next(box for box in boxes if box.name == "joined")
    assert {boxes[number].name for number in joined.inputs} == {"left", "right"}
    assert [boxes[number].name for number in answer.inputs] == ["joined"]
    assert (answer.shape, answer.parameters) == ("4", 24)


def test_a_model_without_a_graph_shows_its_parts() -> None:
    class Pair(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.left = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.ReLU()])
            self.right = keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.right(self.left(inputs))

    pair = Pair()
    pair(np.zeros((1, 2)))
    assert [box.kind for box in boxes_of(pair)] == ["Dense", "ReLU", "Dense"]
    assert draw_diagram(pair).startswith(b"\x89PNG")
