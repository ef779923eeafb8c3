"""Triton's own clients against Open Inference's doors, in a process and an environment of their own."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import venv
from pathlib import Path

import pytest

from tests.gateway.models import png, scores_of
from tests.gateway.world import World

pytestmark = pytest.mark.anyio

CLIENTS = "tritonclient[http,grpc]==2.73.0"
SCRIPT = Path(__file__).with_name("ask_as_triton.py")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the clients."""
    folder = tmp_path_factory.mktemp("clients")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    installed = subprocess.run(
        [interpreter, "-m", "pip", "install", "--quiet", CLIENTS], capture_output=True, text=True
    )
    if installed.returncode:
        pytest.skip(f"{CLIENTS} cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
    return interpreter


async def test_they_ask_by_json_by_bytes_and_by_grpc(here: World, python: Path) -> None:
    picture = png(salt=3)
    http = str(here.rest.base_url).removeprefix("http://")
    process = await asyncio.create_subprocess_exec(
        python, SCRIPT, http, here.grpc_address, base64.b64encode(picture), stdout=subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    answers = [json.loads(line) for line in told.splitlines()]
    assert len(answers) == 3
    for answer in answers:
        assert "nobody" in answer.pop("refused")
        assert answer == {
            "live": True,
            "ready": True,
            "model_ready": True,
            "nobody_ready": False,
            "y": [2.5, 3.5],
            "scores": [scores_of(picture).tolist()],
        }
