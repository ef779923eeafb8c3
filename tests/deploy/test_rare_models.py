"""Component rare-models: a group of model servers that is there while somebody asks for its models."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from services.core.sockets import address_of
from services.stubs.tensorgate.v1 import inference_pb2
from services.stubs.tensorgate.v1.inference_pb2_grpc import InferenceStub
from tests.deploy.manifests import environment, one
from tests.deploy.test_alerts import RARE, play
from tests.gateway.models import png
from tests.gateway.test_bad_input import b64
from tests.gateway.test_process import started
from tests.gateway.test_real_server import CONFORMANCE, HALF, MEAN, Site
from tests.polling import until
from tests.ports import free_port

PYTHON = (sys.executable, "-m")
OVERLAYS = ("gpu", "gpu-node-cache")
NAMES = {
    ("StatefulSet", "model-server"): "TENSORGATE_MIRROR_WITHOUT",
    ("StatefulSet", "model-server-rare"): "TENSORGATE_MIRROR_ONLY",
    ("Deployment", "gateway"): "TENSORGATE_GATEWAY_RARE",
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_its_pods_are_as_the_others_but_for_their_name_and_their_models(overlay: str) -> None:
    common, rare = (_pod(overlay, "StatefulSet", name) for name in ("model-server", "model-server-rare"))
    for pod in (common, rare):
        mirror = pod["containers"][1]
        mirror["env"] = [each for each in mirror["env"] if each["name"] not in NAMES.values()]
    assert json.loads(json.dumps(rare).replace("model-server-rare", "model-server")) == common


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_read_the_names_in_one_place_and_there_are_none_at_first(overlay: str) -> None:
    read = []
    for (kind, owner), variable in NAMES.items():
        told = [each for container in _pod(overlay, kind, owner)["containers"] for each in container.get("env", ())]
        (named,) = [each["valueFrom"]["configMapKeyRef"] for each in told if each["name"] == variable]
        read.append({key: named[key] for key in ("name", "key")})
    assert read[0] == read[1] == read[2]
    assert one(overlay, "ConfigMap", read[0]["name"])["data"] == {read[0]["key"]: ""}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_gateway_knows_the_one_that_keda_starts_and_stops(overlay: str) -> None:
    scaled, servers = (one(overlay, kind, "model-server-rare")["spec"] for kind in ("ScaledObject", "StatefulSet"))
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (0, 1)
    assert "replicas" not in servers  # it would undo what KEDA did
    service = one(overlay, "Service", servers["serviceName"])
    (port,) = service["spec"]["ports"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= servers["template"]["metadata"]["labels"].items()
    (gateway,) = _pod(overlay, "Deployment", "gateway")["containers"]
    address = f"model-server-rare-0.{service['metadata']['name']}:{port['port']}"
    assert environment(gateway)["TENSORGATE_GATEWAY_RARE_SERVER"] == address


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_keda_s_query_tells_how_many_rare_models_were_asked_for_lately(tmp_path: Path) -> None:
    (trigger,) = one("gpu", "ScaledObject", "model-server-rare")["spec"]["triggers"]
    series = {
        'model="m",instance="a"': "0x69 stale",  # this gateway has gone
        'model="m",instance="b"': "0x59 3600x60",  # asked once, in minute 60
        'model="n",instance="a"': "0x61 3720 stale",  # asked in minute 62, by one that has gone since
        'model="n",instance="b"': "0x120",
    }
    told = [{"series": f'{RARE}{{namespace="tensorgate",{labels}}}', "values": told} for labels, told in series.items()]
    checks = [
        {
            "expr": trigger["metadata"]["query"],
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": value}],
        }
        for minute, value in {59: 0, 60: 1, 63: 2, 66: 1, 70: 0}.items()
    ]
    nobody = {**checks[0], "eval_time": "5m"}
    course = {"interval": "1m", "input_series": told, "promql_expr_test": checks}
    play(tmp_path, 1, [course, {"interval": "1m", "input_series": [], "promql_expr_test": [nobody]}])
    assert float(trigger["metadata"]["activationThreshold"]) < 1 <= float(trigger["metadata"]["threshold"])


@pytest.mark.skipif(not CONFORMANCE, reason="TENSORGATE_CONFORMANCE names no folder of SavedModels")
def test_a_rare_model_is_refused_until_its_server_has_come_and_again_when_it_has_gone(tmp_path: Path) -> None:
    common, rare = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    servers: dict[str, Any] = {"model_server": common, "rare": "image", "rare_server": rare}
    door = {"store": tmp_path / "store", "http_port": 0, "grpc_port": 0, "workers": 2, **servers}
    with ExitStack() as stack:
        stack.enter_context(_group(tmp_path, common, without="image"))
        command = [*PYTHON, "services.gateway"]
        _, ports = stack.enter_context(started(command, **door))
        base = f"http://{address_of('127.0.0.1', ports['http_port'])}"
        site = Site(stack.enter_context(httpx.Client(base_url=base, timeout=30)), tmp_path)
        site.publish("half_plus_two", "1", HALF)
        site.publish("image", "1", MEAN)
        until(lambda: site.regress("half_plus_two", {"x": 1}).status_code == 200, seconds=90)
        assert _asked(site) == 0
        for _ in range(2):
            _is_refused(site, f"127.0.0.1:{ports['grpc_port']}")
            until(lambda: _asked(site) > 0, seconds=20)
            with _group(tmp_path, rare, only="image"):
                until(lambda: _ask(site).status_code == 200, seconds=90)
            until(lambda: _ask(site).headers.get("retry-after") == "30", seconds=30)
        assert site.regress("half_plus_two", {"x": 1}).status_code == 200
    assert _brought(tmp_path, common) == ["half_plus_two"]
    assert _brought(tmp_path, rare) == ["image"]


@contextmanager
def _group(root: Path, address: str, **models: str) -> Iterator[None]:
    """A model server and its mirror; the folder stays, as a pod's volume does."""
    flags = (f"--port={address.rpartition(':')[2]}", "--rest_api_port=0")
    mirror: dict[str, Any] = {"store": root / "store", "folder": root / address, "model_server": address, **models}
    with (
        started([*PYTHON, "services.model_server", *flags]),
        started([*PYTHON, "services.mirror"], "mirror", **mirror),
    ):
        yield


def _is_refused(site: Site, address: str) -> None:
    answer = _ask(site)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "Model image is a rare one" in answer.json()["error"]["message"]
    # Perhaps by the other worker, which looks for itself whether the model has gone.
    until(lambda: ("grpc-retry-pushback-ms", "30000") in _refusal(address).trailing_metadata(), seconds=20)
    assert _refusal(address).code() is grpc.StatusCode.UNAVAILABLE
    assert site.rest.get("/readyz").status_code == 200


def _refusal(address: str) -> Any:
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
        stub: Any = InferenceStub(channel)  # type: ignore[no-untyped-call]  # generated code
        stub.Regress(inference_pb2.RegressRequest(model=inference_pb2.Model(name="image")))
    return refused.value


def _ask(site: Site) -> httpx.Response:
    return site.regress("image", {"image_bytes": b64(png())})


def _asked(site: Site) -> float:
    """When the page says it was."""
    page = site.rest.get("/metrics").text.splitlines()
    (line,) = [each for each in page if each.startswith(f'{RARE}{{model="image"}}')]
    return float(line.rpartition(" ")[2])


def _brought(root: Path, address: str) -> list[str]:
    return sorted(path.name for path in (root / address).iterdir() if not path.name.startswith("."))


def _pod(overlay: str, kind: str, name: str) -> Any:
    """A copy, to be changed."""
    return deepcopy(one(overlay, kind, name)["spec"]["template"]["spec"])
