"""The recorded exchanges, where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model_server.server_process import conformance


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder that TENSORGATE_CONFORMANCE names."""
    folder = conformance()
    if folder is None:
        pytest.skip("TENSORGATE_CONFORMANCE does not name the folder of the recorded exchanges")
    return folder
