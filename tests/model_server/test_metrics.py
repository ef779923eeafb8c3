"""The page of metrics, as Prometheus has it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.deploy.manifests import DEPLOY
from tests.deploy.monitored import relabelled
from tests.model_server.server_process import conformance, running

CONFIG = DEPLOY / "base" / "monitoring.config"
PATH = "/monitoring/prometheus/metrics"
# TensorFlow Serving's names, which who watches one knows.
ITS_NAMES = (
    "metric names should not contain ':'",
    ':request_count counter metrics should have "_total" suffix',
    ':request_count non-histogram and non-summary metrics should not have "_count" suffix',
)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_promtool_finds_nothing_to_say_of_the_page_but_of_its_names_and_nothing_when_they_are_clean(
    tmp_path: Path,
) -> None:
    if (folder := conformance()) is None:
        pytest.skip("TENSORGATE_CONFORMANCE does not name the folder of the recorded exchanges")
    flags = ("--port=0", "--rest_api_port=0", f"--monitoring_config_file={CONFIG}")
    with running(flags, tmp_path / "log") as client:
        client.reload({"half_plus_two": folder / "models" / "half_plus_two"})
        client.predict("half_plus_two", {"x": np.array([2.0], np.float32)})
        page = httpx.get(f"http://127.0.0.1:{client.ports['rest_port']}{PATH}").text
    told = set(re.findall(r"^(:[\w:]+)", page, re.MULTILINE))
    assert {":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_bucket"} <= told
    assert not [name for name in told if name.endswith("_created")]
    said = _promtool(page).splitlines()
    assert said and not [line for line in said if not line.endswith(ITS_NAMES)]
    clean = re.sub(r":tensorflow:[\w:]+", lambda found: relabelled(found[0]), page)
    assert not _promtool(clean)


def _promtool(page: str) -> str:
    run = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert bool(run.returncode) == bool(run.stderr)
    return run.stderr
