"""What a log shows of a training."""

from __future__ import annotations

import io

from rich.console import Console

from services.trainer.progress import EpochDone, PlainProgress


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_epoch_that_takes_long_is_not_silent_and_says_how_long_it_will_be() -> None:
    clock, printed = Clock(), io.StringIO()
    progress = PlainProgress(Console(file=printed, width=100), clock)
    for second in range(1, 26):
        clock.now = second
        progress.batch(second / 100)
    assert printed.getvalue().splitlines() == ["training 10% eta 90 s", "training 20% eta 80 s"]


def test_the_next_models_training_is_timed_anew() -> None:
    clock, printed = Clock(), io.StringIO()
    progress = PlainProgress(Console(file=printed, width=100), clock)
    for second, share in ((0, 0.1), (5, 0.9), (60, 0.1), (70, 0.2)):
        clock.now = second
        progress.batch(share)
    assert printed.getvalue().splitlines() == ["training 20% eta 80 s"]


def test_short_epochs_have_one_line_each() -> None:
    clock, printed = Clock(), io.StringIO()
    progress = PlainProgress(Console(file=printed, width=100), clock)
    for second in range(1, 31):
        clock.now = second
        progress.batch(second / 30)
        if second % 5 == 0:
            progress.epoch(EpochDone("final", second // 5, 6, {"loss": 0.5}, 30.0 - second))
    lines = printed.getvalue().splitlines()
    assert len(lines) == 6
    assert lines[0] == "final epoch 1/6 loss 0.5 eta 25 s"
