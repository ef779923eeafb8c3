"""The recorded exchanges of a real TensorFlow Serving, replayed against the gateway."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from services.core.card import CARD_PATH, Card, InputField, SignatureCard, Task
from services.core.refs import STABLE, is_model_name
from services.store import Store, open_store
from tests.conformance.known_differences import GATEWAY, ON_SOME_PROCESSORS, TEXTS
from tests.conformance.replay import compared, here, serving
from tests.gateway.test_process import started
from tests.polling import until

# The corpus's scripts leave files for the collector to close.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

GROUP = "main"
VERSIONS = {"half_plus_two": 3, "Dotted.name-1": 3, "classreg": 2, "mlp": 2}  # of others one
_OWN_HEADER = "header x-request-id"  # told beside what TensorFlow Serving tells


def card(name: str) -> Card:
    """Of a model that is called by TensorFlow Serving's doors only, which ask the SavedModel's own signatures."""
    field = InputField(name="x", dtype="float32")
    signature = SignatureCard(task=Task.REGRESS, inputs=(field,), outputs=(), example={})
    lineage = {"plugin": name, "variant": "", "run": "", "seed": 1, "config": {}, "created": "2026-01-01T00:00:00Z"}
    facts = {"model": name, "task": Task.REGRESS, "title": name, "description": "", "metrics": {}, "baseline": {}}
    return Card.model_validate({**facts, "signatures": {"recorded": signature}, "lineage": lineage})


def publish(store: Store, name: str) -> None:
    """All versions; `stable` is the newest, which is what a request without version means there."""
    for number in range(1, VERSIONS.get(name, 1) + 1):
        with TemporaryDirectory() as folder:
            (Path(folder) / CARD_PATH).parent.mkdir()
            (Path(folder) / CARD_PATH).write_text(card(name).model_dump_json())
            assert store.publish(name, Path(folder)) == number
    store.move_label(name, STABLE, VERSIONS.get(name, 1))
    if name == "half_plus_two":
        store.move_label(name, "canary", 2)


def callable_at(page: str) -> set[str]:
    """Names of the models that a gateway can call."""
    return {model["name"] for model in httpx.get(page).json()["models"] if model["versions"]}


@pytest.fixture(scope="module")
def differences(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Sequence[str]]:
    """What differs from the recording, by case, but for the header that the gateway adds."""
    folder = tmp_path_factory.mktemp("front")
    with serving(corpus, GROUP, folder) as server:
        store = open_store(str(folder / "store"))
        names = re.findall(r'\bname: "([^"]+)"', (folder / "models.config").read_text())
        served = set(filter(is_model_name, names))
        for name in served:
            publish(store, name)
        address = f"127.0.0.1:{server.ports['grpc_port']}"
        command = [sys.executable, "-m", "services.gateway"]
        with started(command, store=folder / "store", model_server=address, http_port=0, grpc_port=0) as (_, ports):
            page = f"http://127.0.0.1:{ports['http_port']}/api/models"
            until(
                lambda: {one["name"] for one in httpx.get(page).json()["models"] if one["versions"]} == served,
                seconds=60,
            )
            found = compared(corpus, GROUP, here(corpus, ports["grpc_port"], ports["http_port"]))
    others = {case: [line for line in lines if not line.startswith(_OWN_HEADER)] for case, lines in found.items()}
    return {case: lines for case, lines in others.items() if lines}


def test_every_code_and_value_is_the_same_but_where_the_gateway_means_otherwise(
    differences: Mapping[str, Sequence[str]],
) -> None:
    assert not differences.keys() - GATEWAY.keys() - TEXTS.keys()


def test_the_table_of_the_gateways_differences_has_no_stale_entry(differences: Mapping[str, Sequence[str]]) -> None:
    assert not {*GATEWAY, *TEXTS} - differences.keys() - ON_SOME_PROCESSORS
