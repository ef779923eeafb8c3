"""Component node-cache: model servers of a node share what they brought, and the namespace stays strict."""

from __future__ import annotations

from pathlib import PurePath

from tests.deploy.manifests import DEPLOY, ROOT, Manifest, built, environment, one, pods

OVERLAY = "gpu-node-cache"


def _pod() -> Manifest:
    (found,) = [pod.spec for pod in pods(OVERLAY) if pod.owner == "StatefulSet model-server"]
    return found


def _mount(container: str) -> str:
    """Where it has the shared volume."""
    (found,) = [each for each in _pod()["containers"] if each["name"] == container]
    (path,) = [mount["mountPath"] for mount in found["volumeMounts"] if mount["name"] == "models"]
    return str(path)


def test_all_pods_claim_the_one_folder_that_each_node_has() -> None:
    (claim,) = [
        volume["persistentVolumeClaim"]["claimName"] for volume in _pod()["volumes"] if volume["name"] == "models"
    ]
    asked, volume = (
        one(OVERLAY, "PersistentVolumeClaim", claim),
        one(OVERLAY, "PersistentVolume", "tensorgate-node-cache"),
    )
    assert asked["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["claimRef"] == {key: asked["metadata"][key] for key in ("name", "namespace")}
    assert "nodeAffinity" not in volume["spec"]
    for key in ("accessModes", "storageClassName"):
        assert asked["spec"][key] == volume["spec"][key]
    assert not one(OVERLAY, "StatefulSet", "model-server")["spec"].get("volumeClaimTemplates")


def test_the_namespace_stays_restricted_and_no_pod_names_a_path_of_its_node() -> None:
    labels = one(OVERLAY, "Namespace", "tensorgate")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert [each["kind"] for each in built(OVERLAY) if "hostPath" in each.get("spec", {})] == ["PersistentVolume"]


def test_each_mirror_has_a_folder_of_its_own_and_all_have_one_cache_in_the_same_mount() -> None:
    (mirror,) = [each for each in _pod()["containers"] if each["name"] == "mirror"]
    told = environment(mirror)
    folder, cache = (PurePath(told[f"TENSORGATE_MIRROR_{name}"]) for name in ("FOLDER", "CACHE"))
    assert str(folder.parent) == str(cache.parent) == _mount("mirror") == _mount("model-server")
    assert folder.name == "$(POD)"
    names = [variable["name"] for variable in mirror["env"]]
    assert names.index("POD") < names.index("TENSORGATE_MIRROR_FOLDER"), "only what stands before is put in"
    (pod,) = [variable for variable in mirror["env"] if variable["name"] == "POD"]
    assert pod["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_folder_that_a_node_needs_is_told_with_its_owner() -> None:
    path = one(OVERLAY, "PersistentVolume", "tensorgate-node-cache")["spec"]["hostPath"]["path"]
    user = _pod()["securityContext"]["runAsUser"]
    command = f"install -d -o {user} -g {user} -m 750 {path}"
    for page in (ROOT / "docs" / "operations.md", DEPLOY / "components" / "node-cache" / "kustomization.yaml"):
        assert command in page.read_text(), page
