"""What a service writes to its log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.core.errors import InvalidArgument
from services.core.settings import logs_in_json

CODE = """
import logging
from services.core.telemetry import configure_logging
configure_logging(in_json=False)
for name in ("services.gateway.router", "httpx", "tensorflow", "python_multipart.multipart"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("%s %s", name, level)
"""


def test_ours_is_logged_from_info_up_libraries_from_warning_and_noisy_ones_from_error() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    lines = [re.sub(r"^[-0-9]+ [0-9:,]+ ", "", line) for line in run.stderr.splitlines()]
    assert lines == [
        "INFO services.gateway.router: services.gateway.router info",
        "WARNING services.gateway.router: services.gateway.router warning",
        "ERROR services.gateway.router: services.gateway.router error",
        "WARNING httpx: httpx warning",
        "ERROR httpx: httpx error",
        "ERROR tensorflow: tensorflow error",
        "ERROR python_multipart.multipart: python_multipart.multipart error",
    ]
    assert not run.stdout


IN_JSON = """
import logging, warnings
from services.core.settings import logs_in_json
from services.core.telemetry import REQUEST, Facts, configure_logging
configure_logging(in_json=logs_in_json())
log = logging.getLogger("services.x")
log.info('%d "lines"\\nand %s', 2, "more")
REQUEST.set({"request_id": "r1", "trace_id": "t1"})
log.info(Facts(status=200))
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
"""


def lines_of(code: str, log: str) -> list[str]:
    environment = {**os.environ, "TENSORGATE_LOG": log}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return run.stderr.splitlines()


def test_in_json_a_record_is_a_line_with_the_request_it_is_about_and_the_exception() -> None:
    told, facts, failed = map(json.loads, lines_of(IN_JSON, "json"))
    assert datetime.fromisoformat(told.pop("time")).utcoffset() == timedelta(0)
    assert told == {"level": "INFO", "logger": "services.x", "message": '2 "lines"\nand more'}
    del facts["time"]
    assert facts == {"level": "INFO", "logger": "services.x", "status": 200, "request_id": "r1", "trace_id": "t1"}
    assert (failed["level"], failed["message"], failed["trace_id"]) == ("ERROR", "it failed", "t1")
    assert failed["exception"].startswith("Traceback")
    assert failed["exception"].endswith("ZeroDivisionError: division by zero")


def test_in_text_names_and_values_are_an_object() -> None:
    assert lines_of(IN_JSON, "text")[2].endswith('INFO services.x: {"status":200}')


def test_another_word_for_the_log_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORGATE_LOG", "xml")
    with pytest.raises(InvalidArgument, match=r"text or json\. Received: 'xml'"):
        logs_in_json()


def test_what_the_command_logs_beside_its_output_is_in_json_too(tmp_path: Path) -> None:
    broken = tmp_path / "runs" / "one" / "run.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{}")
    environment = {**os.environ, "TENSORGATE_LOG": "json", "TENSORGATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "services.cli", "runs"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    (line,) = map(json.loads, run.stderr.splitlines())
    assert line["message"].startswith(f"{broken} cannot be read")


@pytest.mark.parametrize(
    "command",
    ["services.gateway", "services.mirror", "services.model_server --model_base_path=/nowhere", "services.cli plugins"],
)
def test_each_process_asks_how_to_log_before_it_begins(command: str) -> None:
    environment = {**os.environ, "TENSORGATE_LOG": "xml"}
    run = subprocess.run([sys.executable, "-m", *command.split()], capture_output=True, text=True, env=environment)
    assert run.returncode not in (0, None)
    assert "TENSORGATE_LOG is text or json. Received: 'xml'" in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr
