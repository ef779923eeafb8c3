"""A mirror that brings some models of a store, because others bring the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.mirror.settings import MirrorSettings
from services.mirror.wishes import Choice
from tests.gateway.test_process import environment
from tests.mirror.scripted_server import scripted_server
from tests.mirror.test_loop import GRACE, Bench

pytestmark = pytest.mark.anyio


async def test_of_two_mirrors_one_brings_the_named_models_and_the_other_the_rest(tmp_path: Path) -> None:
    for number, models, brought in ((1, Choice(only=("m",)), "m"), (2, Choice(without=("m",)), "other")):
        async with scripted_server() as (server, client):
            bench = Bench(tmp_path / str(number), server, client, str(tmp_path / "store"), models=models)
            if number == 1:
                bench.publish("m")
                bench.publish("other")
            await bench.passes()
            assert server.states == {(brought, 1): "AVAILABLE"}
            assert bench.mirror.ready


async def test_a_mirror_whose_models_have_no_labels_has_read_the_store_all_the_same(tmp_path: Path) -> None:
    async with scripted_server() as (server, client):
        bench = Bench(tmp_path, server, client, str(tmp_path / "store"), models=Choice(only=("rare",)))
        bench.publish("m")
        await bench.passes()
        assert bench.mirror.ready
        assert (server.states, bench.failures("labels")) == ({}, 0)


@pytest.mark.parametrize("restarted", [True, False], ids=["with its server", "alone"])
async def test_the_only_model_is_given_to_another_mirror_and_is_unloaded_here(
    tmp_path: Path, *, restarted: bool
) -> None:
    async with scripted_server() as (server, client):
        bench = Bench(tmp_path, server, client, str(tmp_path / "store"))
        bench.publish("m")
        await bench.passes()
        bench.models = Choice(without=("m",))
        bench.start()
        if restarted:
            server.restart()
        await bench.passes()
        await bench.passes(GRACE + 1)
        await bench.passes()
        assert server.states.get(("m", 1)) != "AVAILABLE"
        assert bench.here() == []
        assert bench.failures("labels") == 0, "the store is there and has labels"


async def test_a_store_that_is_gone_is_no_reason_to_unload_what_is_ours(tmp_path: Path) -> None:
    async with scripted_server() as (server, client):
        bench = Bench(tmp_path, server, client, str(tmp_path / "store"), models=Choice(only=("m",)))
        bench.publish("m")
        bench.publish("other")
        await bench.passes()
        (tmp_path / "store").rename(tmp_path / "away")
        await bench.passes(GRACE + 1)
        await bench.passes(GRACE + 1)
        assert server.states == {("m", 1): "AVAILABLE"}


def test_the_names_stand_between_commas_and_none_is_not_the_same_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MirrorSettings().only is None
    monkeypatch.setenv("TENSORGATE_MIRROR_ONLY", "a, b")
    assert MirrorSettings().only == ("a", "b")
    monkeypatch.setenv("TENSORGATE_MIRROR_ONLY", "")
    assert MirrorSettings().only == ()
    assert "a" not in Choice(only=())
    monkeypatch.setenv("TENSORGATE_MIRROR_WITHOUT", "")
    assert MirrorSettings().without == ()


def test_only_these_and_all_but_those_at_once_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValidationError, match="At most one of"):
        MirrorSettings(only=("a",), without=("b",))
    command = [sys.executable, "-m", "services.mirror"]
    run = subprocess.run(
        command, env=environment("mirror", only="a", without="b"), capture_output=True, text=True, timeout=20
    )
    assert run.returncode == 1
    assert "TENSORGATE_MIRROR_WITHOUT" in run.stderr and "Received: 'a' and 'b'" in run.stderr
    assert "Traceback" not in run.stderr
