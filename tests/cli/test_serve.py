"""`tensorgate serve` with the processes it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port


def test_who_has_keys_and_tells_none_is_served_all_the_same(tmp_path: Path) -> None:
    keys, port = tmp_path / "keys.jsonl", free_port()
    command = (sys.executable, "-m", "services.cli")
    subprocess.run([*command, "key", "alice", "--file", str(keys)], check=True, capture_output=True)
    serving = subprocess.Popen(
        [*command, "serve", "--http-port", str(port), "--grpc-port", str(free_port())],
        env={**os.environ, "TENSORGATE_HOME": str(tmp_path / "home"), "TENSORGATE_GATEWAY_KEYS": str(keys)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        assert any("go live unannounced" in line for line in serving.stdout)
        with pytest.raises(subprocess.TimeoutExpired):
            serving.wait(2)
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/api/models").status_code == 401
    finally:
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=60)
