"""docs/protocols.md: each block does what it says, against the models of `make up`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.core.settings import GRPC_PORT, HTTP_PORT
from services.core.tryout import Gateway, try_out
from tests.e2e.conftest import Served

ROOT = Path(__file__).parent.parent.parent
BLOCKS = re.findall(
    r"^```(sh|python)\n(.*?)^```", (ROOT / "docs" / "protocols.md").read_text(), re.MULTILINE | re.DOTALL
)
RUN = {"sh": ["bash", "-ec"], "python": [sys.executable, "-c"]}


@pytest.mark.parametrize(("language", "block"), BLOCKS, ids=lambda value: value.strip().splitlines()[0][:30])
def test_a_block_of_the_page_is_answered(served: Served, tmp_path: Path, language: str, block: str) -> None:
    examples = tmp_path / ".tensorgate" / "examples"
    examples.mkdir(parents=True)
    for path, content in try_out(served.card("mnist"), Gateway(served.http, served.grpc), examples).files.items():
        path.write_bytes(content)
    here = block.replace(f"127.0.0.1:{GRPC_PORT}", served.grpc)
    here = here.replace(f"http://127.0.0.1:{HTTP_PORT}", served.http)
    environment = {**served.home.environment, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(
        [*RUN[language], here], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout or list(tmp_path.glob("*.png"))
