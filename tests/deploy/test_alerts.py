"""Each alert fires when it shall and clears when the trouble is over, by promtool; and somebody finds what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.alerts import ALERTS, RUNBOOK, groups
from deploy.dashboards import DASHBOARDS, GPUS
from deploy.monitoring import files
from tests.deploy.manifests import ROOT
from tests.deploy.monitored import DCGM, told_names

G, M = "tensorgate_gateway", "tensorgate_mirror"
RARE = f"{G}_rare_model_asked_timestamp_seconds"
PREDICTED = 'model="m",version="1",output="scores"'
ASKED = 'door="rest",operation="classify",model="m"'


@dataclass(frozen=True)
class Course:
    """What Prometheus sees, a value every `step` minutes as promtool writes them; in which minute the alert fires, and
    in which it does not any more.
    """

    series: Mapping[str, str]
    fires: int
    clears: int
    step: int = 1
    quiet: str = ""  # an alert that does not fire meanwhile


# 600 minutes of 5 in a thousand, or 90 of 9 in a hundred; then all is well.
FEW, MANY = "0+50x60 3000x40", "0+9x90 810x60"
# Read each minute until the tenth, then not until the twenty-first.
READ = "0+60x10 600x9 1260+60x20"

COURSES: Mapping[str, Course] = {
    "AvailabilityBudgetBurnsFast": Course(
        {
            f'{G}_requests_total{{{ASKED},code="OK"}}': "0+91x150",
            f'{G}_requests_total{{{ASKED},code="UNAVAILABLE"}}': MANY,
        },
        fires=60,
        clears=130,
    ),
    "AvailabilityBudgetBurnsSlowly": Course(
        {
            f'{G}_requests_total{{{ASKED},code="OK"}}': "0+9950x100",
            f'{G}_requests_total{{{ASKED},code="RESOURCE_EXHAUSTED"}}': FEW,
            f'{G}_shed_total{{reason="queue"}}': FEW,
        },
        fires=590,
        clears=980,
        step=10,
        quiet="AvailabilityBudgetBurnsFast",
    ),
    "LatencyBudgetBurnsFast": Course(
        {
            f'{G}_request_seconds_bucket{{{ASKED},le="0.5"}}': "0+70x90 6300+100x60",
            f"{G}_request_seconds_count{{{ASKED}}}": "0+100x150",
        },
        fires=60,
        clears=130,
    ),
    "LatencyBudgetBurnsSlowly": Course(
        {
            f'{G}_request_seconds_bucket{{{ASKED},le="0.5"}}': "0+950x60 57000+1000x40",
            f"{G}_request_seconds_count{{{ASKED}}}": "0+1000x100",
        },
        fires=590,
        clears=980,
        step=10,
        quiet="LatencyBudgetBurnsFast",
    ),
    "GatewayDown": Course({'up{job="gateway",instance="a"}': "1x5 0x10 1x10"}, fires=10, clears=20),
    "NoModelServer": Course({f'{G}_model_server_up{{server="a"}}': "1x5 0x10 1x10"}, fires=10, clears=20),
    "ModelServerAway": Course(
        {
            f'{G}_model_server_up{{server="a"}}': "1x5 0x40",
            f'{G}_model_server_up{{server="b"}}': "1x40",
            'kube_statefulset_replicas{namespace="tensorgate",statefulset="model-server"}': "2x20 1x20",  # scaled down
            'kube_statefulset_replicas{namespace="other",statefulset="model-server"}': "1x40",
        },
        fires=15,
        clears=25,
        quiet="NoModelServer",
    ),
    "BreakerOpen": Course(
        {f'{G}_model_server_breaker{{server="a"}}': "0x5 2x30", f'{G}_model_server_up{{server="a"}}': "1x12 0x20"},
        fires=10,
        clears=20,  # it has gone, and its breaker is as it was
    ),
    "ModelNotServed": Course(
        {
            f'{G}_wanted_version{{model="m",label="stable"}}': "1x30",
            f'{G}_callable_versions{{model="m"}}': "0x10 1x20",
        },
        fires=5,
        clears=15,
    ),
    "RareModelNotServed": Course(
        {
            f'{G}_wanted_version{{model="m",label="stable"}}': "1x200",
            f'{G}_callable_versions{{model="m"}}': "0x119 1x5 0x75",
            f'{RARE}{{model="m"}}': "0x99 6000x100",  # once, in minute 100
        },
        fires=116,
        clears=145,  # it was there meanwhile, and nobody asks for it now
        quiet="ModelNotServed",
    ),
    "QueueLong": Course({f'{G}_queued_requests{{model="m"}}': "0x5 500x20 0x20"}, fires=20, clears=35),
    "RequestsShed": Course({f'{G}_shed_total{{reason="slots"}}': "0+3x20 60x20"}, fires=15, clears=30),
    "InternalErrors": Course({f'{G}_requests_total{{{ASKED},code="INTERNAL"}}': "0+1x20 20x20"}, fires=15, clears=30),
    "FirstTextSlow": Course(
        {
            f'{G}_first_text_seconds_bucket{{model="m",le="1.0"}}': "0x40",
            f'{G}_first_text_seconds_bucket{{model="m",le="5.0"}}': "0+9x20 180x20",
            f'{G}_first_text_seconds_bucket{{model="m",le="+Inf"}}': "0+9x20 180x20",
        },
        fires=18,
        clears=30,
    ),
    "WorkerRestarts": Course(
        {f'{G}_starts_total{{job="gateway",instance="a"}}': "2x4 3 4 5 6x40"}, fires=10, clears=30
    ),
    "StoreUnreachable": Course({f'{G}_store_read_timestamp_seconds{{job="gateway"}}': READ}, fires=18, clears=25),
    "RollOutStuck": Course(
        {
            f'{G}_wanted_version{{model="m",label="stable"}}': "2x50",
            f'{G}_routed_version{{model="m",label="stable"}}': "1x30 2x20",
        },
        fires=20,
        clears=35,
    ),
    "MirrorDown": Course({'up{job="mirror",instance="a"}': "1x5 0x10 1x10"}, fires=14, clears=20),
    "MirrorStuck": Course({f'{M}_last_pass_timestamp_seconds{{instance="a"}}': READ}, fires=18, clears=25),
    "MirrorLags": Course({f'{M}_lag_seconds{{instance="a"}}': "0+60x30 0x20"}, fires=20, clears=35),
    "ModelLoadFails": Course({f'{M}_failing_versions{{instance="a"}}': "0x5 1x15 0x10"}, fires=15, clears=25),
    "PredictionsDrift": Course(
        {
            f'{G}_predictions_expected_ratio{{{PREDICTED},bin="cat"}}': "0.5x400",
            f'{G}_predictions_expected_ratio{{{PREDICTED},bin="dog"}}': "0.5x400",
            # As many of both for a day, then hardly a cat for a day, then as many of both again.
            f'{G}_predictions_total{{{PREDICTED},bin="cat"}}': "0+50x144 7200+5x144 7920+50x150",
            f'{G}_predictions_total{{{PREDICTED},bin="dog"}}': "0+50x144 7200+95x144 20880+50x150",
        },
        fires=2800,
        clears=4200,
        step=10,
    ),
    "RetrainingFailed": Course(
        {
            'kube_job_status_failed{namespace="tensorgate",job_name="train-mnist-1"}': "0x5 1x10 0x10",
            'kube_job_status_failed{namespace="other",job_name="train-mnist-1"}': "0x5 1x30",
        },
        fires=10,
        clears=20,
    ),
}


def test_each_alert_has_a_course_of_events_and_a_section_that_says_what_to_do() -> None:
    names = [alert.name for alert in ALERTS]
    assert set(COURSES) == set(names) and len(set(names)) == len(names)
    page = (ROOT / RUNBOOK).read_text()
    sections = dict(re.findall(r"^### (\w+)\n\n(.+?)(?=\n#|\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) >= set(names)
    assert all(len(sections[name]) > 80 for name in names)
    at = "https://wiki.example.com/tensorgate"
    rules = [rule for group in groups(at) for rule in group["rules"] if "alert" in rule]
    assert [rule["annotations"]["runbook_url"] for rule in rules] == [f"{at}#{name.lower()}" for name in names]
    assert all(text.count(f"{at}#") == len(names) for path, text in files(at).items() if path.name == "rules.yaml")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_each_alert_fires_and_clears(tmp_path: Path) -> None:
    for step in {course.step for course in COURSES.values()}:
        play(tmp_path, step, [_test_of(name, course) for name, course in COURSES.items() if course.step == step])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_a_rare_model_calls_nobody_while_nobody_asks_and_while_it_comes(tmp_path: Path) -> None:
    nowhere = {
        f'{G}_wanted_version{{model="m",label="stable"}}': "1x60",
        f'{G}_callable_versions{{model="m"}}': "0x60",
        f'{RARE}{{model="m",instance="a"}}': "0x60",
        f'{G}_model_server_up{{server="model-server-rare-0.model-server-rare:8500"}}': "0x60",
        f'{G}_model_server_up{{server="model-server-0.model-server:8500"}}': "1x60",
    }
    requests = f'{G}_requests_total{{{ASKED},code="%s"}}'
    coming = {
        **nowhere,
        f'{G}_callable_versions{{model="m"}}': "0x54 1x50",
        f'{RARE}{{model="m",instance="b"}}': "0x39 2400+60x30",
        requests % "UNAVAILABLE": "0x40 0+2x14 28x50",  # two of three requests, for a while
        requests % "OK": "0x40 0+1x60",
    }
    failing = {**coming, requests % "INTERNAL": "0x40 0+2x14 28x50"}
    told = [
        _firing(name, minute, is_firing=False)
        for name in ("ModelNotServed", "RareModelNotServed", "ModelServerAway", "AvailabilityBudgetBurnsFast")
        for minute in (36, 52, 60)
    ]
    burns = [_firing("AvailabilityBudgetBurnsFast", 52, is_firing=True)]
    courses = {"away": (nowhere, told), "coming": (coming, told), "failing": (failing, burns)}
    play(tmp_path, 1, [_played(name, series, 1, checks) for name, (series, checks) in courses.items()])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_of_too_few_predictions_and_of_a_version_that_is_withdrawn_no_drift_is_told(tmp_path: Path) -> None:
    def only_dogs(in_ten_minutes: int, share: str) -> Mapping[str, str]:
        series = {}
        for name, made in (("cat", 0), ("dog", in_ten_minutes)):
            series[f'{G}_predictions_total{{{PREDICTED},bin="{name}"}}'] = f"0+{made}x200"
            series[f'{G}_predictions_expected_ratio{{{PREDICTED},bin="{name}"}}'] = share
        return series

    drift = "PredictionsDrift"
    withdrawn = Course(only_dogs(100, "0.5x100 0x100"), fires=990, clears=1020, step=10)
    few = _played("few", only_dogs(6, "0.5x200"), 10, [_firing(drift, 1990, is_firing=False)])
    enough = _played("enough", only_dogs(8, "0.5x200"), 10, [_firing(drift, 1990, is_firing=True)])
    play(tmp_path, 10, [_test_of(drift, withdrawn), few, enough])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_promtool_takes_the_rules_and_every_query_of_a_panel(tmp_path: Path) -> None:
    asked = [query for board in (*DASHBOARDS, GPUS) for panel in board.panels for query, _ in panel.queries]
    panels = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(asked)
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [*groups(), {"name": "panels", "rules": panels}]}))
    run = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_what_rules_and_panels_ask_for_is_told_by_somebody() -> None:
    rules = [rule for group in groups() for rule in group["rules"]]
    asked = [rule["expr"] for rule in rules]
    asked += [query for board in DASHBOARDS for panel in board.panels for query, _ in panel.queries]
    named = set(re.findall(r"\b(?:tensorgate|tensorflow|process)[_:][\w:]+", " ".join(asked)))
    recorded = {rule["record"] for rule in rules if "record" in rule}
    assert named <= told_names() | recorded


def test_what_is_shown_of_gpus_the_gpu_operator_s_exporter_tells() -> None:
    asked = " ".join(query for panel in GPUS.panels for query, _ in panel.queries)
    assert set(re.findall(r"DCGM_\w+", asked)) <= DCGM


def test_the_files_are_what_the_code_writes() -> None:
    for path, text in files().items():
        assert path.read_text() == text, f"{path.name}: make monitoring"
    component = ROOT / "deploy" / "components" / "monitoring"
    shown = {path.name for path in files() if path.parent == component / "dashboards"}
    assert {path.name for path in (component / "dashboards").iterdir()} == shown
    (generator,) = yaml.safe_load((component / "kustomization.yaml").read_text())["configMapGenerator"]
    assert {name.removeprefix("dashboards/") for name in generator["files"]} == shown


def play(folder: Path, step: int, tests: Sequence[object]) -> None:
    """What promtool finds after courses of events, a value each `step` minutes."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))
    plan = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": f"{step}m",
        "group_eval_order": [group["name"] for group in groups()],  # else by chance
        "tests": tests,
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(plan))
    run = subprocess.run(["promtool", "test", "rules", folder / "tests.yaml"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def _test_of(name: str, course: Course) -> object:
    checks = [_firing(name, course.fires, is_firing=True), _firing(name, course.clears, is_firing=False)]
    if course.quiet:
        checks.append(_firing(course.quiet, course.fires, is_firing=False))
    return _played(name, course.series, course.step, checks)


def _firing(alert: str, minute: int, *, is_firing: bool) -> object:
    query = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0'
    samples = [{"labels": "{}", "value": 1}] if is_firing else []
    return {"expr": query, "eval_time": f"{minute}m", "exp_samples": samples}


def _played(name: str, series: Mapping[str, str], step: int, checks: Sequence[object]) -> object:
    told = [{"series": one, "values": values} for one, values in series.items()]
    return {"name": name, "interval": f"{step}m", "input_series": told, "promql_expr_test": checks}
