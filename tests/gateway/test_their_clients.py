"""Triton's and KServe's own clients against Open Inference's doors, each in a process and environment of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.gateway.models import png, scores_of
from tests.gateway.world import World

pytestmark = pytest.mark.anyio

TRITON, KSERVE = "tritonclient[http,grpc]==2.73.0", "kserve==0.21.0"


@contextmanager
def environment(clients: str) -> Iterator[Path]:
    """An interpreter that has the clients."""
    with TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        interpreter = Path(folder) / "bin" / "python"
        installed = subprocess.run(
            [interpreter, "-m", "pip", "install", "--quiet", "--no-compile", clients], capture_output=True, text=True
        )
        if installed.returncode:
            pytest.skip(f"{clients} cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
        yield interpreter


async def told(here: World, clients: str, script: str, picture: bytes) -> list[Any]:
    """What each client got."""
    http = str(here.rest.base_url).removeprefix("http://")
    with environment(clients) as python:
        process = await asyncio.create_subprocess_exec(
            python,
            Path(__file__).with_name(script),
            http,
            here.grpc_address,
            base64.b64encode(picture),
            stdout=subprocess.PIPE,
        )
        lines, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in lines.splitlines()]


async def test_tritons_ask_by_json_by_bytes_and_by_grpc(here: World) -> None:
    picture = png(salt=3)
    answers = await told(here, TRITON, "ask_as_triton.py", picture)
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


async def test_kserves_ask_by_json_by_bytes_by_grpc_and_as_tensorflow_serving_is_asked(here: World) -> None:
    picture = png(salt=4)
    *answers, first_protocol = await told(here, KSERVE, "ask_as_kserve.py", picture)
    assert len(answers) == 3
    for answer in answers:
        assert answer == {
            "live": True,
            "ready": True,
            "model_ready": True,
            "y": [2.5, 3.5],
            "scores": [scores_of(picture).tolist()],
        }
    assert first_protocol == {"predictions": [2.5, 3.5]}
