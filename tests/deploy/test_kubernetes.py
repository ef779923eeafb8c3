"""What deploy/ tells a cluster is valid, contained, and asks for nothing that is not there."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cloudcoil.models.keda.v1alpha1 as keda
import cloudcoil.models.prometheus_operator.v1 as prometheus_operator
import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError

from services.cli.cluster.manifests import Training, job_of, schedule_of, with_workers
from services.gateway.settings import GatewaySettings
from services.model_server.settings import parse
from tests.deploy import settings
from tests.deploy.manifests import DEPLOY, OVERLAYS, ROOT, Manifest, built, containers, environment, one, pods
from tests.deploy.monitored import told_names

NEWEST = int(kubernetes_validate.latest_version().split(".")[1])
VERSIONS = [f"1.{minor}" for minor in range(30, NEWEST + 1)]
CUSTOM: Mapping[str, Any] = {
    "ScaledObject": keda.ScaledObject,
    "ServiceMonitor": prometheus_operator.ServiceMonitor,
    "PodMonitor": prometheus_operator.PodMonitor,
    "PrometheusRule": prometheus_operator.PrometheusRule,
}
# Flags of TensorFlow Serving that our model server has no use for.
THEIRS = {
    "--grpc_max_threads",
    "--per_process_gpu_memory_fraction",
    "--enable_batching",
    "--batching_parameters_file",
}
# What others run: NVIDIA's GPU operator, and cert-manager's pod that answers an ACME server.
EXPORTER = {"app": "nvidia-dcgm-exporter"}
SOLVER = {"acme.cert-manager.io/http01-solver": "true"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_object_is_what_kubernetes_takes_and_has_no_field_it_does_not_know(overlay: str) -> None:
    for manifest in built(overlay):
        if (model := CUSTOM.get(manifest["kind"])) is not None:
            # The models pass over what they do not know; what they give back has lost it.
            read = model.model_validate(manifest)
            assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == manifest
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(dict(manifest), version, strict=True)


def test_nothing_lies_about_that_no_overlay_uses() -> None:
    kustomizations = [yaml.safe_load(path.read_text()) for path in DEPLOY.glob("**/kustomization.yaml")]
    overlays = [yaml.safe_load((DEPLOY / "overlays" / name / "kustomization.yaml").read_text()) for name in OVERLAYS]
    used = {name.rpartition("/")[2] for overlay in overlays for name in overlay.get("components", ())}
    assert used == {path.name for path in (DEPLOY / "components").iterdir()}
    named = set()
    for one_of in kustomizations:
        named |= {entry.rpartition("/")[2] for entry in one_of.get("resources", ())}
        named |= {patch["path"] for patch in one_of.get("patches", ()) if "path" in patch}
    files = {path.name for folder in ("base", "components", "overlays") for path in (DEPLOY / folder).rglob("*.yaml")}
    assert files - named == {"kustomization.yaml"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_is_contained(overlay: str) -> None:
    """Pod Security Standards, `restricted`, and a root that nobody writes to."""
    for pod in pods(overlay):
        assert pod.spec["securityContext"]["runAsNonRoot"] is True, pod.owner
        assert pod.spec["securityContext"]["runAsUser"] > 0, pod.owner
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, pod.owner
        asks = pod.owner == "Deployment retrain-hook"  # the cluster; nobody else may
        assert pod.spec["automountServiceAccountToken"] is asks, pod.owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec), pod.owner
        assert not [volume for volume in pod.spec["volumes"] if "hostPath" in volume], pod.owner
        for container in pod.spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, container["name"]
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][bound]), container["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_server_has_probes_and_every_named_port_is_one(overlay: str) -> None:
    for pod in pods(overlay):
        if pod.spec.get("restartPolicy") == "Never":
            continue  # a job's end is its health
        for container in pod.spec["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                call = container[probe].get("httpGet") or container[probe]["grpc"]
                assert call["port"] in ports or call["port"] in ports.values(), f"{container['name']}: {probe}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_selected_is_here_and_has_the_ports(overlay: str) -> None:
    workloads: dict[str, set[str]] = {"trainer": set()} | {
        _name(each["spec"]["template"]["metadata"]["labels"]): {
            port["name"] for container in each["spec"]["template"]["spec"]["containers"] for port in container["ports"]
        }
        for each in built(overlay)
        if each["kind"] in ("Deployment", "StatefulSet")
        and each["spec"]["selector"]["matchLabels"].items() <= each["spec"]["template"]["metadata"]["labels"].items()
    }
    services = {
        _name(each["metadata"]["labels"]): {port["name"] for port in each["spec"].get("ports", ())}
        for each in built(overlay)
        if each["kind"] == "Service"
    }
    for each in built(overlay):
        if (selects := _SELECTS.get(each["kind"])) is not None:
            selector, ports = selects(each["spec"])
            there = services if each["kind"] == "ServiceMonitor" else workloads
            named = {_name(labels) for labels in _each(selector) if labels not in (EXPORTER, SOLVER)}
            assert named & there.keys() or not named, each["metadata"]["name"]
            assert all(ports <= there[name] for name in named & there.keys()), each["metadata"]["name"]


def test_whoever_issues_the_certificate_reaches_the_pod_that_answers_for_it() -> None:
    """On the port that cert-manager's solver listens on."""
    spec = one("gpu", "NetworkPolicy", "acme-solver")["spec"]
    assert (spec["podSelector"]["matchLabels"], spec["ingress"]) == (SOLVER, [{"ports": [{"port": 8089}]}])


def _name(labels: Manifest) -> str:
    return str(labels["app.kubernetes.io/name"])


def _each(selector: Manifest) -> Sequence[Manifest]:
    """The labels that it selects, of several values of one label each; none: everything."""
    several = [{one["key"]: value} for one in selector.get("matchExpressions", ()) for value in one["values"]]
    return several or [labels for labels in (selector.get("matchLabels"),) if labels]


# What each kind selects, and the ports it wants there.
_SELECTS: Mapping[str, Callable[[Manifest], tuple[Manifest, set[str]]]] = {
    "Service": lambda spec: ({"matchLabels": spec["selector"]}, {port["targetPort"] for port in spec.get("ports", ())}),
    "NetworkPolicy": lambda spec: (
        spec["podSelector"],
        {port["port"] for rule in spec.get("ingress", ()) for port in rule.get("ports", ())},
    ),
    "PodDisruptionBudget": lambda spec: (spec["selector"], set()),
    "ServiceMonitor": lambda spec: (spec["selector"], {port["port"] for port in spec["endpoints"]}),
    "PodMonitor": lambda spec: (
        spec["selector"],
        {port["port"] for port in spec["podMetricsEndpoints"]},
    ),
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_those_of_the_dockerfile_in_this_version_or_tensorflow_servings(overlay: str) -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for container in containers(overlay):
        name, _, tag = container["image"].partition(":")
        if name != "tensorflow/serving":
            assert name.removeprefix("tensorgate/") in targets
            assert tag == version
        else:
            assert re.fullmatch(r"\d+\.\d+\.\d+(-gpu)?", tag)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_exists_and_takes_its_value(overlay: str) -> None:
    for container in containers(overlay):
        told = environment(container)
        parts = set(re.findall(r"\$\((\w+)\)", " ".join(told.values())))  # of the values of others
        own = {name: value for name, value in told.items() if name not in parts}
        assert parts <= set(told)
        assert not settings.faults(container["image"].partition(":")[0], own), container["name"]


def test_a_setting_that_does_not_exist_is_noticed() -> None:
    assert settings.faults("tensorgate/gateway", {"TENSORGATE_GATEWAY_HTPP_PORT": "1"})
    assert settings.faults("tensorgate/mirror", {"TENSORGATE_GATEWAY_HTTP_PORT": "1"})
    with pytest.raises(ValidationError, match="drain_seconds"):
        settings.faults("tensorgate/gateway", {"TENSORGATE_GATEWAY_DRAIN_SECONDS": "soon"})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_flag_of_the_model_server_exists(overlay: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = _model_server(overlay)
    parse([flag for flag in server["args"] if flag.partition("=")[0] not in THEIRS])
    assert not capsys.readouterr().err
    ours = server["image"].startswith("tensorgate/")
    assert ours == ("command" not in server)
    assert not ours or not [flag for flag in server["args"] if flag.partition("=")[0] in THEIRS]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_is_told_to_stop_has_the_time_for_it(overlay: str) -> None:
    gateway = one(overlay, "Deployment", "gateway")["spec"]["template"]["spec"]
    (container,) = gateway["containers"]
    drain = float(environment(container)["TENSORGATE_GATEWAY_DRAIN_SECONDS"])
    stopping = container["lifecycle"]["preStop"]["sleep"]["seconds"] + drain
    assert stopping < gateway["terminationGracePeriodSeconds"]
    server = one(overlay, "StatefulSet", "model-server")["spec"]["template"]["spec"]
    waits = server["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert stopping < waits < server["terminationGracePeriodSeconds"], "the gateway's last requests need it"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_jobs_and_schedules_are_like_the_clusters_own_but_for_their_words(overlay: str) -> None:
    """So what the tests above say of its pod is true of theirs."""
    template, words = one(overlay, "CronJob", "trainer"), Training("mnist", overrides=("epochs=2",)).words
    theirs = template["spec"]["jobTemplate"]["spec"]
    schedule = schedule_of(template, "train-mnist", words, "0 3 * * 0")
    for made in (job_of(template, "train-mnist-1", words), schedule):
        for version in VERSIONS:
            kubernetes_validate.validate(made, version, strict=True)
    for job in (job_of(template, "train-mnist-1", words)["spec"], schedule["spec"]["jobTemplate"]["spec"]):
        (container,) = job["template"]["spec"]["containers"]
        assert container["args"] == list(words)
        container["args"] = theirs["template"]["spec"]["containers"][0]["args"]
        assert job == theirs


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_of_a_job_are_told_who_the_others_are_and_can_reach_them(overlay: str) -> None:
    template, words = with_workers(one(overlay, "CronJob", "trainer"), 3), Training("mnist").words
    job = job_of(template, "train-mnist-1", words)
    for version in VERSIONS:
        for made in (job, schedule_of(template, "train-mnist", words, "0 3 * * 0")):
            kubernetes_validate.validate(made, version, strict=True)
    spec, pod = job["spec"], job["spec"]["template"]
    bounds = {"completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimit": 0}
    assert bounds.items() <= spec.items()
    env = pod["spec"]["containers"][0]["env"]
    assert [each["name"] for each in env[-3:]] == ["JOB", "WORKER", "TF_CONFIG"]  # only what comes before is put in
    told = json.loads(env[-1]["value"].replace("$(JOB)", "train-mnist-1").replace("$(WORKER)", "2"))
    workers = [f"train-mnist-1-{number}.trainer:2222" for number in range(3)]
    assert told == {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 2}}
    service = one(overlay, "Service", pod["spec"]["subdomain"])["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    (reached,) = one(overlay, "NetworkPolicy", "trainer")["spec"]["ingress"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    assert reached == {"from": [{"podSelector": {"matchLabels": service["selector"]}}]}


def test_only_one_thing_scales_the_gateway() -> None:
    scaling = [[each["kind"] for each in built(name) if each["kind"] in _SCALERS] for name in ("cpu", "gpu", "laptop")]
    assert scaling == [["HorizontalPodAutoscaler"], ["ScaledObject"] * 3, []]
    for overlay in OVERLAYS:
        assert "replicas" not in one(overlay, "Deployment", "gateway")["spec"]  # it would undo what the scaler did
    assert "replicas" not in one("gpu", "StatefulSet", "model-server")["spec"]


@pytest.mark.parametrize("name", ["gateway", "model-server", "model-server-rare"])
def test_what_pods_are_scaled_by_is_measured(name: str) -> None:
    for trigger in one("gpu", "ScaledObject", name)["spec"]["triggers"]:
        assert set(re.findall(r"tensorgate_\w+", trigger["metadata"]["query"])) <= told_names()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_gateway_asks_each_model_server_by_its_name(overlay: str) -> None:
    servers = one(overlay, "StatefulSet", "model-server")["spec"]
    service = one(overlay, "Service", servers["serviceName"])["spec"]
    assert service["clusterIP"] == "None"  # only then each pod has a name
    (port,) = service["ports"]
    named = environment(_gateway(overlay))["TENSORGATE_GATEWAY_MODEL_SERVER"].split(",")
    most = servers.get("replicas") or one(overlay, "ScaledObject", "model-server")["spec"]["maxReplicaCount"]
    assert named == [f"model-server-{number}.model-server:{port['port']}" for number in range(most)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_and_metrics_are_where_only_the_cluster_asks(overlay: str) -> None:
    gateway = _gateway(overlay)
    ports = {port["name"]: str(port["containerPort"]) for port in gateway["ports"]}
    assert environment(gateway)["TENSORGATE_GATEWAY_OPERATIONS_PORT"] == ports["operations"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert gateway[probe]["httpGet"]["port"] == "operations"
    (anywhere,) = one(overlay, "NetworkPolicy", "gateway")["spec"]["ingress"]
    assert anywhere == {"ports": [{"port": "http"}, {"port": "grpc"}]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_gateway_has_a_worker_for_each_processor_it_may_use_at_most(overlay: str) -> None:
    gateway = _gateway(overlay)
    workers = int(environment(gateway)["TENSORGATE_GATEWAY_WORKERS"])
    assert workers <= float(gateway["resources"]["limits"]["cpu"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_mirrors_files_fit_its_volume(overlay: str) -> None:
    for server in [each["spec"] for each in built(overlay) if each["kind"] == "StatefulSet"]:
        (mirror,) = [each for each in server["template"]["spec"]["containers"] if each["name"] == "mirror"]
        (claim,) = server.get("volumeClaimTemplates") or [one(overlay, "PersistentVolumeClaim", "node-cache")]
        volume = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) << 30
        assert int(environment(mirror)["TENSORGATE_MIRROR_DISK_BYTES"]) < volume


def test_tensorflow_serving_takes_batches_as_large_as_a_gateways() -> None:
    (config,) = [
        each["data"] for each in built("gpu") if each["kind"] == "ConfigMap" and "batching.config" in each["data"]
    ]
    values = dict(re.findall(r"^(\w+) \{ value: (\w+) \}$", config["batching.config"], re.MULTILINE))
    gateway = GatewaySettings.model_fields
    assert int(values["max_execution_batch_size"]) == gateway["batch_rows"].default
    assert int(values["max_batch_size"]) >= gateway["instances"].default  # of one request, which goes in one call
    assert values["enable_large_batch_splitting"] == "true"
    assert "--batching_parameters_file=/etc/model-server/batching.config" in _model_server("gpu")["args"]
    assert {"models.config", "monitoring.config"} <= set(config)


def test_one_pod_of_a_kind_goes_at_a_time_and_they_lie_apart() -> None:
    strategy = one("cpu", "Deployment", "gateway")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}
    for name in ("gateway", "model-server"):
        assert one("cpu", "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
    for kind, name in (("Deployment", "gateway"), ("StatefulSet", "model-server")):
        spread = one("cpu", kind, name)["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def _gateway(overlay: str) -> Manifest:
    (container,) = one(overlay, "Deployment", "gateway")["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, Mapping)
    return container


_SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def _model_server(overlay: str) -> Manifest:
    server: Manifest = one(overlay, "StatefulSet", "model-server")["spec"]["template"]["spec"]["containers"][0]
    return server
