"""The supervisor with real processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from services.cli.supervisor import Service, Supervisor

PRINTS_ITS_PID = "import os, time; print('{\"pid\": %d}' % os.getpid(), flush=True); time.sleep(600)"
LISTS_ITS_PIDS = """
import os, sys, time
print(os.getpid(), file=open(sys.argv[1], "a"))
print("{}", flush=True)
time.sleep(600)
"""
COUNTS_ITS_STARTS = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(3)"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.anyio
async def test_a_service_is_ready_when_it_says_so_and_gone_when_the_supervisor_leaves(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, os.environ, print) as supervisor:
        supervisor.start(Service("sleeper", (sys.executable, "-c", PRINTS_ITS_PID)))
        pid = (await supervisor.ready("sleeper"))["pid"]
        assert _alive(pid)
    assert not _alive(pid)


@pytest.mark.anyio
async def test_a_service_that_dies_is_started_again_and_a_person_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    starts = tmp_path / "starts"
    async with Supervisor(tmp_path, os.environ, said.append) as supervisor:
        supervisor.start(Service("mortal", (sys.executable, "-c", COUNTS_ITS_STARTS, str(starts))))
        with anyio.fail_after(20):
            while not starts.exists() or len(starts.read_text()) < 2:
                await anyio.sleep(0.05)
    assert "mortal stopped with exit code 3" in said[0]
    assert str(tmp_path / "mortal.log") in said[0]


@pytest.mark.anyio
async def test_a_killed_service_comes_back(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with Supervisor(tmp_path, os.environ, print) as supervisor:
        supervisor.start(Service("phoenix", (sys.executable, "-c", LISTS_ITS_PIDS, str(pids))))
        await supervisor.ready("phoenix")
        os.kill(int(pids.read_text().split()[0]), signal.SIGKILL)
        with anyio.fail_after(20):
            while len(pids.read_text().split()) < 2:
                await anyio.sleep(0.05)
        second = int(pids.read_text().split()[1])
    assert not _alive(second)
