"""What deploy/ and its page point at is there."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

import pytest

from services.core.settings import LOG
from tests.deploy import settings
from tests.deploy.manifests import DEPLOY, OVERLAYS, ROOT, built


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_is_made_here_or_told_of(overlay: str) -> None:
    """ConfigMaps, Secrets, claims, service accounts, services and what is scaled."""
    here = {(each["kind"], each["metadata"]["name"]) for each in built(overlay)}
    told = {("Secret", "gateway-keys"), ("Secret", "s3"), ("Secret", "gateway-tls"), ("Secret", "retrain-hook")}
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert all(name in operations for _, name in told)
    for manifest in built(overlay):
        assert set(_references(manifest)) <= here | told, manifest["metadata"]["name"]


def test_the_operations_page_names_what_there_is() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    laptop = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in built("laptop")}
    named = re.findall(r"\b(?:cronjob|service|job)/[\w-]+", page)
    assert named and set(named) <= laptop | {"job/train-first"}
    assert set(re.findall(r"^\| `([a-z][\w-]*)` \|", page, re.MULTILINE)) == {
        path.name for path in (DEPLOY / "components").iterdir()
    }
    known = [
        f"{reader.model_config['env_prefix']}{name}".upper()
        for reader in settings.READERS.values()
        for name in reader.model_fields
    ]
    assert set(re.findall(r"TENSORGATE_[A-Z_]+", page)) <= {*known, LOG}


def _references(node: Any) -> list[tuple[str, str]]:
    """(kind, name) of everything that is pointed at below."""
    if isinstance(node, list):
        return list(chain.from_iterable(map(_references, node)))
    if not isinstance(node, dict):
        return []
    found = list(chain.from_iterable(map(_references, node.values())))
    for key, kind in (("configMapKeyRef", "ConfigMap"), ("configMap", "ConfigMap"), ("secretRef", "Secret")):
        if isinstance(node.get(key), dict):
            found.append((kind, node[key]["name"]))
    for key, kind in (("secretName", "Secret"), ("claimName", "PersistentVolumeClaim")):
        if isinstance(node.get(key), str):
            found.append((kind, node[key]))
    for key, kind in (("serviceAccountName", "ServiceAccount"), ("serviceName", "Service")):
        if isinstance(node.get(key), str):
            found.append((kind, node[key]))
    for key, kind in (("scaleTargetRef", "Deployment"), ("service", "Service")):
        if isinstance(node.get(key), dict):
            found.append((node[key].get("kind", kind), node[key]["name"]))
    return found
