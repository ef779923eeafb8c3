"""What a service writes to its log."""

from __future__ import annotations

import re
import subprocess
import sys

CODE = """
import logging
from services.core.telemetry import configure_logging
configure_logging(in_json=False)
for name in ("services.gateway.router", "httpx", "tensorflow"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("%s %s", name, level)
"""


def test_ours_is_logged_from_info_up_libraries_from_warning_and_tensorflow_from_error() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    lines = [re.sub(r"^[-0-9]+ [0-9:,]+ ", "", line) for line in run.stderr.splitlines()]
    assert lines == [
        "INFO services.gateway.router: services.gateway.router info",
        "WARNING services.gateway.router: services.gateway.router warning",
        "ERROR services.gateway.router: services.gateway.router error",
        "WARNING httpx: httpx warning",
        "ERROR httpx: httpx error",
        "ERROR tensorflow: tensorflow error",
    ]
    assert not run.stdout
