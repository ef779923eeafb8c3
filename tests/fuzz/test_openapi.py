"""Every operation of /openapi.json, asked by schemathesis: no fault of ours, and answers as the page says they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fuzz.lengths import IS_LONG
from tests.fuzz.running import Target

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# The short look passes over the paths with a version or a label: their endpoints are those of the paths without.
LENGTH = ["--max-examples=200"] if IS_LONG else ["--max-examples=1", "--exclude-path-regex=labels|versions"]


def test_answers_are_as_the_page_says(target: Target) -> None:
    config = Path(__file__).with_name("schemathesis.toml")
    page = f"http://127.0.0.1:{target.http_port}/openapi.json"
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(config),
        "run",
        page,
        f"--checks={CHECKS}",
    ]
    how = ["--phases=fuzzing", "--generation-deterministic", "--continue-on-failure", "--request-timeout=20"]
    quiet = ["--suppress-health-check=all", "--warnings=off"]
    run = subprocess.run([*command, *how, *quiet, *LENGTH], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    print(*(line for line in run.stdout.splitlines() if "generated" in line))
