"""What the mirror's metrics page tells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.mirror.metrics import MirrorMetrics
from services.mirror.pages import Address, serve_pages
from tests.mirror.scripted_server import scripted_server
from tests.mirror.test_loop import Bench

pytestmark = pytest.mark.anyio


def told(bench: Bench, name: str) -> float | None:
    """A value on the page."""
    return bench.registry.get_sample_value(f"tensorgate_mirror_{name}")


async def test_lag_grows_while_a_wanted_version_fails_to_load_and_ends_when_it_is_there(tmp_path: Path) -> None:
    async with scripted_server() as (server, client):
        bench = Bench(tmp_path, server, client, str(tmp_path / "store"))
        bench.publish()
        await bench.passes()
        assert (told(bench, "lag_seconds"), told(bench, "failing_versions")) == (0, 0)
        assert (told(bench, "load_seconds_count"), told(bench, "fetch_seconds_count")) == (1, 1)
        server.broken.add(("m", 2))
        bench.publish()
        await bench.passes()
        await bench.passes(60)
        assert (told(bench, "lag_seconds"), told(bench, "failing_versions")) == (60, 1)
        server.broken.clear()
        await bench.passes(60)
        assert (told(bench, "lag_seconds"), told(bench, "failing_versions")) == (0, 0)
        assert (told(bench, "load_seconds_count"), told(bench, "fetch_seconds_count")) == (2, 2)


async def test_a_store_that_cannot_be_read_does_not_look_as_if_it_had_been(tmp_path: Path) -> None:
    async with scripted_server() as (server, client):
        bench = Bench(tmp_path, server, client, str(tmp_path / "store"))
        bench.publish()
        await bench.passes(10)
        (tmp_path / "store").rename(tmp_path / "away")
        await bench.passes(10)
        assert (told(bench, "last_pass_timestamp_seconds"), told(bench, "store_read_timestamp_seconds")) == (20, 10)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_promtool_finds_nothing_to_say_of_the_page() -> None:
    registry = CollectorRegistry()
    MirrorMetrics(registry).failures.labels("load").inc()
    port = serve_pages(Address("127.0.0.1", 0), registry, lambda: True)
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    run = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
