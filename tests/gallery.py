"""Makes docs/gallery.md anew: `python -m tests.gallery`, with the models that TENSORGATE_HOME holds.

Serves them and runs every command of the page from the project's root, as a reader would; what a command prints goes
into the block of text after it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx

from services.core.settings import HTTP_PORT
from tests.e2e.conftest import COMMAND
from tests.polling import until

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gallery.md"
STEP = re.compile(r"^```sh\n(?P<command>.*?)^```\n(?P<told>\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"!\[[^]]+\]\((gallery/[^)]+)\)")
MODEL = re.compile(r"api/models/(\w+)/|predict (\w+)")


def models(page: str) -> frozenset[str]:
    """Those that the commands ask."""
    return frozenset(name for names in MODEL.findall(page) for name in names if name)


def anew(page: str) -> str:
    """Run every command; the page with what they printed."""

    def run(step: re.Match[str]) -> str:
        done = subprocess.run(
            ["bash", "-ec", step["command"]], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True, timeout=600
        )
        told = f"\n```text\n{done.stdout.strip()}\n```\n" if step["told"] else ""
        return f"```sh\n{step['command']}```\n{told}"

    return STEP.sub(run, page)


def main() -> None:
    """Serve, run, write."""
    page = PAGE.read_text()
    serving = subprocess.Popen([*COMMAND, "serve"], env=os.environ)
    try:
        until(lambda: models(page) <= callable_now(), seconds=120)
        PAGE.write_text(anew(page))
    finally:
        serving.terminate()
        serving.wait()


def callable_now() -> frozenset[str]:
    """Models with a version that can be asked."""
    try:
        listed = httpx.get(f"http://127.0.0.1:{HTTP_PORT}/api/models").json()["models"]
    except httpx.TransportError:
        return frozenset()
    return frozenset(model["name"] for model in listed if model["versions"])


if __name__ == "__main__":
    main()
