"""Training on a cluster: the command and the official client talk to a tiny API server."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import kubernetes.config
import pytest
from rich.console import Console
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.cluster import following
from services.cli.cluster.following import Unheard
from services.cli.console import EXIT_ERROR
from services.core.errors import TensorgateError
from services.trainer.progress import BarProgress, EpochDone, PlainProgress, tell_again
from tests.cli.api_server import ApiServer, PodPlan, serving
from tests.deploy.manifests import one

LINES = (
    "run 20260101-000000-mnist-dense: Digits (dense)",
    *(f"hold-out epoch {number}/3 loss 0.5 accuracy 0.9 eta {9 - number} s" for number in (1, 2, 3)),
    "gate passed: accuracy 0.98 beats the baseline 0.11",
    "published mnist/1 as stable",
)


@dataclass(frozen=True)
class Shell:
    """Runs the command with a kubeconfig: in this process, because the client takes seconds to import."""

    server: ApiServer
    kubeconfig: Path

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """In a process of its own, as a person does."""
        # Tests in the background of a shell are told to ignore Ctrl-C, and so would be what they start.
        ours = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "services.cli", *words],
                env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, ours)

    def run(self, *words: str) -> tuple[int, list[str], str]:
        """Exit code, lines of output, errors."""
        result = CliRunner().invoke(app, words)
        if isinstance(result.exception, TensorgateError):
            return EXIT_ERROR, result.stdout.splitlines(), result.exception.message
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout.splitlines(), result.stderr


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A cluster to which the laptop's overlay was applied."""
    server = ApiServer([PodPlan(LINES)])
    server.objects["cronjobs"]["trainer"] = dict(one("laptop", "CronJob", "trainer"))
    with serving(server, tmp_path) as kubeconfig:
        for module in (kubernetes.config, kubernetes.config.kube_config):  # they read KUBECONFIG once, when imported
            monkeypatch.setattr(module, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
        monkeypatch.setattr(following, "_PAUSE_SECONDS", 0.01)
        yield Shell(server, kubeconfig)


def test_a_job_is_made_like_the_clusters_own_and_followed_to_its_end(shell: Shell) -> None:
    code, out, err = shell.run("train", "mnist", "--engine", "kubernetes", "--variant", "dense", "--set", "epochs=3")
    assert (code, out[1:]) == (0, list(LINES)), err
    (job,) = shell.server.objects["jobs"].values()
    assert out[0] == f"job {job['metadata']['name']}"
    pod = job["spec"]["template"]["spec"]
    theirs = one("laptop", "CronJob", "trainer")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0].pop("args") == [
        *("train", "mnist", "--label=stable", "--variant=dense", "--set=epochs=3"),
    ]
    theirs_without_words = {key: value for key, value in theirs["containers"][0].items() if key != "args"}
    assert pod == {**theirs, "containers": [theirs_without_words]}


def test_a_lost_connection_is_made_again_and_no_line_is_lost_or_told_twice(shell: Shell) -> None:
    shell.server.plans = [PodPlan(LINES, cuts=(0, 2, 3, 5))]
    code, out, err = shell.run("train", "mnist", "--engine", "kubernetes")
    assert code == 0, err
    assert [line for line in out[1:] if not line.startswith("connection lost")] == list(LINES)
    assert any(line.startswith("connection lost, trying again: ") for line in out)


def test_a_pod_that_waits_says_what_for_once(shell: Shell) -> None:
    shell.server.plans = [PodPlan(LINES, waiting=2)]
    _, out, _ = shell.run("train", "mnist", "--engine", "kubernetes")
    assert out[1:] == ["waiting: ImagePullBackOff: no such image", *LINES]


def test_a_job_that_is_tried_again_is_followed_into_its_next_pod(shell: Shell) -> None:
    shell.server.plans = [PodPlan(LINES[:2], code=137), PodPlan(LINES)]
    code, out, _ = shell.run("train", "mnist", "--engine", "kubernetes")
    assert (code, out[1:]) == (0, [*LINES[:2], *LINES])


@pytest.mark.parametrize(("code", "ends_with", "says"), [(3, 3, ""), (1, 1, "failed with exit code 1")])
def test_a_run_that_is_refused_or_fails_there_ends_as_it_would_here(
    code: int, ends_with: int, says: str, shell: Shell
) -> None:
    shell.server.plans = [PodPlan(LINES[:2], code=code)]
    ended, out, err = shell.run("train", "mnist", "--engine", "kubernetes")
    assert (ended, out[1:]) == (ends_with, list(LINES[:2])) and says in err
    rows = json.loads("\n".join(shell.run("jobs", "--json")[1]))
    assert [row["state"] for row in rows] == ["refused" if code == 3 else "failed"]


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_end_it(shell: Shell) -> None:
    shell.server.plans = [PodPlan(LINES[:2], never_ends=True)]
    process = shell.begin("train", "mnist", "--engine", "kubernetes")
    assert shell.server.reading.wait(60)
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(3)]  # it is following
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    (name,) = shell.server.objects["jobs"]
    assert seen == [f"job {name}", *LINES[:2]] and process.returncode == 0
    assert f"{name} goes on" in out and f"tensorgate jobs cancel {name}" in out


def test_a_detached_job_is_listed_followed_and_cancelled(shell: Shell) -> None:
    code, out, _ = shell.run("train", "mnist", "--engine", "kubernetes", "--detach")
    (name,) = shell.server.objects["jobs"]
    assert (code, out) == (0, [f"job {name}"])
    assert "running" in shell.run("jobs")[1][1]
    assert shell.run("jobs", "follow", name)[1] == list(LINES)
    assert shell.run("jobs", "cancel", name)[1] == [f"{name} is cancelled"]
    assert not shell.server.objects["jobs"]
    code, _, err = shell.run("jobs", "cancel", name)
    assert code == 1 and "not found" in err


def test_of_a_job_of_several_workers_the_first_is_heard(shell: Shell) -> None:
    shell.server.plans = [PodPlan(LINES), PodPlan(("said twice",))]
    code, out, err = shell.run("train", "mnist", "--engine", "kubernetes", "--workers", "2", "--set", "devices=2")
    (job,) = shell.server.objects["jobs"].values()
    assert (code, out[1:], job["spec"]["completions"]) == (0, list(LINES), 2), err
    assert shell.run("schedule", "mnist", "--cron", "0 3 * * 0", "--workers", "2")[0] == 0
    scheduled = shell.server.objects["cronjobs"]["train-mnist"]["spec"]["jobTemplate"]["spec"]
    assert scheduled["completions"] == 2


def test_a_schedule_is_made_changed_listed_and_removed(shell: Shell) -> None:
    assert shell.run("schedule", "jena_climate", "--cron", "0 3 * * 0")[0] == 0
    assert shell.run("schedule", "jena_climate", "--cron", "0 4 * * *", "--if-changed")[0] == 0
    made = shell.server.objects["cronjobs"]["train-jena-climate"]["spec"]
    assert (made["schedule"], made["suspend"], made["concurrencyPolicy"]) == ("0 4 * * *", False, "Forbid")
    (row,) = json.loads("\n".join(shell.run("schedule", "--json")[1]))
    assert row["tensorgate"] == "train jena_climate --label=stable --if-changed"
    assert shell.run("schedule", "jena_climate", "--remove")[1] == ["train-jena-climate is removed"]
    assert list(shell.server.objects["cronjobs"]) == ["trainer"]


def test_the_operations_page_s_walk_to_a_weekly_training_runs(shell: Shell) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    block = page.partition("## Training again, every week, guarded")[2].partition("```sh\n")[2].partition("```")[0]
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(lines) == 7
    for program, *words in lines:
        name = next(iter(shell.server.objects["jobs"]), "")
        code, out, err = shell.run(*(name if word == "NAME" else word for word in words))
        assert (program, code) == ("tensorgate", 0) and out, err
    assert not shell.server.objects["jobs"] and list(shell.server.objects["cronjobs"]) == ["trainer"]


def test_what_is_not_ours_is_neither_cancelled_nor_removed_nor_replaced(shell: Shell) -> None:
    theirs = {"metadata": {"name": "train-mnist", "labels": {"app.kubernetes.io/name": "another"}}}
    shell.server.objects["jobs"]["train-mnist"] = theirs
    shell.server.objects["cronjobs"]["train-mnist"] = theirs
    for words in ("jobs cancel train-mnist", "schedule mnist --remove", "schedule mnist --cron @weekly"):
        code, _, err = shell.run(*words.split())
        assert code == 1 and "label app.kubernetes.io/name=trainer. Received: train-mnist without it" in err
    assert shell.server.objects["jobs"]["train-mnist"] == shell.server.objects["cronjobs"]["train-mnist"] == theirs


def test_what_the_cluster_refuses_is_told_in_its_words(shell: Shell) -> None:
    shell.server.forbidden = True
    process = shell.begin("jobs")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "The cluster says: you may not look at that" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--engine", "spark"), "local, ray, kubernetes. Received: 'spark'"),
        (("--detach",), "--engine kubernetes. Received: --detach without it"),
        (("--engine", "kubernetes", "--resume", "x"), "Received: resume x"),
        (("--engine", "kubernetes", "--workers", "0"), "1 to 999 workers. Received: 0"),
        (("--workers", "2"), "--engine kubernetes. Received: --workers 2 without it"),
    ],
)
def test_what_cannot_be_asked_is_refused(words: tuple[str, ...], says: str, shell: Shell) -> None:
    code, _, err = shell.run("train", "mnist", *words)
    assert code == 1 and says in err and not shell.server.objects["jobs"]


def test_lines_of_one_microsecond_are_told_apart_and_each_is_heard_once() -> None:
    unheard = Unheard()
    first, second = "2026-01-01T00:00:00.0000011Z a", "2026-01-01T00:00:00.0000019Z b"
    assert [unheard(line) for line in (first, second, first, second)] == ["a", "b", None, None]
    assert unheard("2026-01-01T00:00:01Z c d") == "c d"


def test_what_a_run_elsewhere_prints_is_printed_again_as_it_was() -> None:
    once, again = io.StringIO(), io.StringIO()
    said = PlainProgress(Console(file=once), lambda: 0.0)
    said.step("data: fetching [1]")
    said.epoch(EpochDone("fold 2", 3, 40, {"loss": float("nan"), "val_mae": 12345.678}, 71.4))
    said.step("an epoch 1/2 odd eta 3 s")
    for line in once.getvalue().splitlines():
        tell_again(line, PlainProgress(Console(file=again), lambda: 0.0))
    assert again.getvalue() == once.getvalue()


def test_a_run_elsewhere_moves_the_bar() -> None:
    screen = io.StringIO()
    bar = BarProgress(Console(file=screen, force_terminal=True, width=60), lambda: 0.0)
    tell_again("training 50% eta 12 s", bar)
    bar.close()
    assert "training " in screen.getvalue() and "━" in screen.getvalue()
