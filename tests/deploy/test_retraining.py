"""Of the cluster nobody but the hook may ask anything, and it no more than it does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deploy.alerts import ALERTS
from services.cli.app import app
from services.cli.cluster.hook import Hook, Notice
from services.cli.cluster.manifests import Manifest, schedule_of
from tests.deploy.manifests import OVERLAYS, ROOT, built, one


class Asked:
    """A cluster that notes what is asked of it, as RBAC names it."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()

    def schedule(self, name: str) -> Manifest:
        self.asked.add(("cronjobs", "get"))
        return schedule_of(one("gpu", "CronJob", "trainer"), name, ("train", "mnist"), "0 3 * * 0")

    def jobs(self) -> list[Manifest]:
        self.asked.add(("jobs", "list"))
        return []

    def start(self, job: Manifest) -> None:
        self.asked.add(("jobs", "create"))


def test_the_hook_may_do_what_it_does_and_no_more() -> None:
    cluster = Asked()
    alert = {"status": "firing", "labels": {"model": "mnist"}, "startsAt": "2026-03-01T04:05:06Z"}
    Hook(cluster, "token").hear(Notice.model_validate({"version": "4", "alerts": [alert]}))
    rules = one("gpu", "Role", "retrain-hook")["rules"]
    assert all(rule["apiGroups"] == ["batch"] for rule in rules)
    assert {(of, verb) for rule in rules for of in rule["resources"] for verb in rule["verbs"]} == cluster.asked


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_else_may_ask_the_cluster_anything(overlay: str) -> None:
    bindings = [each for each in built(overlay) if each["kind"].endswith("Binding")]
    assert all(
        (each["kind"], each["roleRef"]["kind"], each["roleRef"]["name"]) == ("RoleBinding", "Role", "retrain-hook")
        and [(subject["kind"], subject["name"]) for subject in each["subjects"]] == [("ServiceAccount", "retrain-hook")]
        for each in bindings
    )


def test_the_pod_s_words_are_the_command_s(tmp_path: Path) -> None:
    spec = one("gpu", "Deployment", "retrain-hook")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"}), "two could train a model at the same time"
    short = tmp_path / "token"
    short.write_text("short")
    words = [word.replace("/etc/retrain-hook/token", str(short)) for word in container["args"]]
    result = CliRunner().invoke(app, words)
    assert "16 characters or more" in str(result.exception), result.output


def test_alertmanager_s_receiver_in_the_operations_page_asks_the_hook() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (text,) = [block for block in page.split("```") if block.startswith("yaml\nroute:")]
    config = yaml.safe_load(text.removeprefix("yaml\n"))
    (route,) = config["route"]["routes"]
    (alert,) = [each for each in ALERTS if route["matchers"] == [f'alertname="{each.name}"']]
    assert alert.query.startswith("max by (model, version)"), "the hook trains what the label `model` names"
    (receiver,) = [each for each in config["receivers"] if each["name"] == "retrain"]
    (hook,) = receiver["webhook_configs"]
    service = one("gpu", "Service", "retrain-hook")
    port = service["spec"]["ports"][0]["port"]
    assert hook["url"] == f"http://{service['metadata']['name']}.{service['metadata']['namespace']}:{port}/retrain"
    assert hook["http_config"]["authorization"]["credentials_file"]
