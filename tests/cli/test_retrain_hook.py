"""A firing alert begins a model's training: the command in a process of its own, asked as Alertmanager asks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from services.cli.cluster.hook import Hook, Notice, unfinished, wanted
from services.cli.cluster.manifests import Training, schedule_of
from services.core.errors import Unavailable
from tests.cli.api_server import ApiServer, PodPlan, serving
from tests.deploy.manifests import one
from tests.polling import until
from tests.ports import free_port

ALERTMANAGER = "prometheus-alertmanager"  # as Debian calls it
TOKEN = "a-token-of-a-test"
SINCE = "2026-03-01T04:05:06.789Z"
JOB = "train-mnist-0301040506"


def alert(model: str | None = "mnist", status: str = "firing", since: str = SINCE) -> Mapping[str, Any]:
    labels = {"alertname": "PredictionsDrift", "version": "1", "severity": "ticket"} | (
        {} if model is None else {"model": model}
    )
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": "The answers are others than they were"},
        "startsAt": since,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "d41d8cd98f00b204",
    }


def notice(*alerts: Mapping[str, Any]) -> Mapping[str, Any]:
    """As Alertmanager's documentation shows it."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="PredictionsDrift"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "retrain",
        "groupLabels": {"alertname": "PredictionsDrift"},
        "commonLabels": {"alertname": "PredictionsDrift"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
    }


@dataclass(frozen=True)
class Site:
    """The cluster, and the hook that is running."""

    cluster: ApiServer
    url: str
    process: subprocess.Popen[str]

    def post(self, *alerts: Mapping[str, Any], token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "Alertmanager/0.28.0"}
        return httpx.post(self.url, json=notice(*alerts), headers=headers)

    def schedule(self, name: str, **spec: Any) -> None:
        """A CronJob as `tensorgate schedule` makes it."""
        template, words = one("laptop", "CronJob", "trainer"), Training("mnist", "convnet", label="stable").words
        made = schedule_of(template, name, words, "0 3 * * 0")
        self.cluster.objects["cronjobs"][name] = made | {"spec": made["spec"] | spec}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, cluster = tmp_path_factory.mktemp("hook"), ApiServer()
    (folder / "token").write_text(f"{TOKEN}\n")
    command = [
        sys.executable,
        "-m",
        "services.cli",
        "retrain-hook",
        "--port",
        "0",
        "--token-file",
        str(folder / "token"),
    ]
    with serving(cluster, folder) as kubeconfig:
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield Site(cluster, process.stdout.readline().split()[-1], process)
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0


@pytest.fixture
def site(running: Site) -> Site:
    """With a schedule of one model, and no job."""
    running.cluster.plans, running.cluster.forbidden = [PodPlan(())], False
    for kind in (*running.cluster.objects.values(), running.cluster.pods):
        kind.clear()
    running.schedule("train-mnist")
    return running


def jobs(site: Site) -> Mapping[str, Any]:
    return site.cluster.objects["jobs"]


def test_a_firing_alert_begins_the_model_s_own_scheduled_training(site: Site) -> None:
    answer = site.post(alert(), alert("imdb", "resolved"), alert(None))
    assert (answer.status_code, answer.json()) == (200, {"mnist": JOB})
    schedule = site.cluster.objects["cronjobs"]["train-mnist"]
    assert list(jobs(site)) == [JOB]
    assert jobs(site)[JOB]["spec"] == schedule["spec"]["jobTemplate"]["spec"]
    container = jobs(site)[JOB]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["train", "mnist", "--label=stable", "--variant=convnet"]


@pytest.mark.skipif(shutil.which(ALERTMANAGER) is None, reason=f"no {ALERTMANAGER}: make engines-check installs it")
def test_alertmanager_itself_configured_as_the_operations_page_says_begins_it(site: Site, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    (block,) = [block for block in page.split("```") if block.startswith("yaml\nroute:")]
    config = yaml.safe_load(block.removeprefix("yaml\n"))
    config["route"] |= {"receiver": "nobody", "group_wait": "0s"}
    config["receivers"].append({"name": "nobody"})
    (hook,) = config["receivers"][0]["webhook_configs"]
    (tmp_path / "token").write_text(TOKEN)
    hook["url"], hook["http_config"]["authorization"]["credentials_file"] = site.url, str(tmp_path / "token")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    flags = (f"--config.file={tmp_path / 'config.yaml'}", f"--storage.path={tmp_path / 'data'}")
    places = (f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=")
    with subprocess.Popen([ALERTMANAGER, *flags, *places], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: is_ready(f"http://127.0.0.1:{port}/-/ready"), seconds=20)
            told = [{"labels": alert()["labels"], "startsAt": SINCE}]
            httpx.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=told).raise_for_status()
            until(lambda: list(jobs(site)) == [JOB], seconds=20)
        finally:
            process.terminate()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.ConnectError:
        return False


def test_a_model_is_trained_by_one_job_at_a_time(site: Site) -> None:
    site.post(alert())
    later = site.post(alert(since="2026-03-02T00:00:00Z"))
    assert later.status_code == 200 and f"which {JOB} trains" in later.json()["mnist"]
    assert list(jobs(site)) == [JOB]


def test_an_alert_that_is_told_again_begins_nothing_and_one_that_fires_anew_does(site: Site) -> None:
    site.post(alert())
    jobs(site)[JOB]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    again = site.post(alert())
    assert again.status_code == 200 and "already exists" in again.json()["mnist"]
    assert list(jobs(site)) == [JOB]
    assert site.post(alert(since="2026-03-02T00:00:00Z")).json() == {"mnist": "train-mnist-0302000000"}


def test_only_what_has_a_schedule_of_ours_that_is_awake_is_trained(site: Site) -> None:
    site.schedule("train-imdb", suspend=True)
    site.cluster.objects["cronjobs"]["train-reuters"] = {
        "metadata": {"name": "train-reuters", "labels": {}},
        "spec": {},
    }
    told = site.post(alert("nobody"), alert("imdb"), alert("reuters"), alert("x" * 60), alert("../jobs")).json()
    assert "not found" in told["nobody"] and "suspended" in told["imdb"] and "without it" in told["reuters"]
    assert "at most 48 characters" in told["x" * 60] and "not found" in told["../jobs"]
    assert not jobs(site)


def test_what_the_cluster_does_not_do_now_is_asked_again_by_alertmanager(site: Site) -> None:
    site.cluster.forbidden = True
    answer = site.post(alert())
    assert answer.status_code == 500 and answer.json() == {"error": "The cluster did not do it"}
    site.cluster.forbidden = False
    assert site.post(alert()).json() == {"mnist": JOB}


def test_who_has_no_token_or_sends_no_notice_begins_nothing(site: Site) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert site.post(alert(), token="another").status_code == 401
    assert httpx.post(site.url, json=notice(alert())).status_code == 401
    assert httpx.post(site.url, json=notice(alert(status="odd")), headers=bearer).status_code == 400
    assert httpx.post(site.url, json={**notice(alert()), "version": "3"}, headers=bearer).status_code == 400
    assert httpx.post(site.url, content=b"{", headers=bearer).status_code == 400
    assert httpx.post(site.url, content=iter([b"{}"]), headers=bearer).status_code == 413
    assert httpx.post(site.url, content=b" " * ((1 << 20) + 1), headers=bearer).status_code == 413
    assert httpx.post(f"{site.url}/more", json=notice(alert()), headers=bearer).status_code == 404
    assert httpx.get(site.url.replace("/retrain", "/livez")).json() == {"live": True}
    assert httpx.get(site.url).status_code == 404
    assert not jobs(site)


def test_a_cluster_out_of_reach_is_told_to_whoever_asks() -> None:
    class Away:
        def schedule(self, name: str) -> Mapping[str, Any]:
            raise Unavailable(f"The cluster's API server can be reached. Received: {name}")

        def jobs(self) -> list[Mapping[str, Any]]:
            raise AssertionError

        def start(self, job: Mapping[str, Any]) -> None:
            raise AssertionError

    with pytest.raises(Unavailable):
        Hook(Away(), TOKEN).hear(Notice.model_validate(notice(alert())))


def test_two_notices_at_once_begin_one_job() -> None:
    both = threading.Barrier(2, timeout=0.5)  # who takes turns does not meet there
    started: list[Mapping[str, Any]] = []

    class Slow:
        def schedule(self, name: str) -> Mapping[str, Any]:
            return schedule_of(one("laptop", "CronJob", "trainer"), name, ("train", "mnist"), "0 3 * * 0")

        def jobs(self) -> list[Mapping[str, Any]]:
            there = list(started)
            with suppress(threading.BrokenBarrierError):
                both.wait()
            return there

        def start(self, job: Mapping[str, Any]) -> None:
            started.append(job)

    hook = Hook(Slow(), TOKEN)
    notices = [Notice.model_validate(notice(alert(since=f"2026-03-01T0{hour}:00:00Z"))) for hour in (1, 2)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(hook.hear, notices))
    assert len(started) == 1


def test_of_several_alerts_of_a_model_the_newest_counts() -> None:
    newest = "2026-03-01T05:05:06+00:00"
    told = wanted(Notice.model_validate(notice(alert(since=newest), alert(since="2026-03-01T05:00:00+01:00"))))
    assert {model: since.isoformat() for model, since in told.items()} == {"mnist": newest}


def test_jobs_of_another_model_or_at_their_end_are_in_nobody_s_way() -> None:
    ended = {"conditions": [{"type": "Failed", "status": "True"}]}
    there = [
        {"metadata": {"name": "train-mnist-2-29000000"}, "status": {"active": 1}},
        {"metadata": {"name": "train-mnist-28000000"}, "status": ended},
    ]
    assert unfinished(there, "train-mnist") is None
    assert unfinished(there, "train-mnist-2") == "train-mnist-2-29000000"
