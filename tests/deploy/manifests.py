"""What kustomize makes of deploy/, and the pods in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
OVERLAYS = sorted(path.name for path in (DEPLOY / "overlays").iterdir())

Manifest = Mapping[str, Any]


def tool(name: str) -> str:
    """A program of a development dependency."""
    return str(Path(sys.executable).with_name(name))


@cache
def built(overlay: str) -> tuple[Manifest, ...]:
    """Everything that `kubectl apply -k` would send."""
    command = [tool("kubectl"), "kustomize", str(DEPLOY / "overlays" / overlay)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return tuple(yaml.safe_load_all(run.stdout))


def one(overlay: str, kind: str, name: str) -> Manifest:
    """One object by its name."""
    (found,) = [each for each in built(overlay) if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


@dataclass(frozen=True)
class Pod:
    """A pod as a workload makes it."""

    owner: str
    spec: Manifest

    def container(self, name: str) -> Manifest:
        (found,) = [each for each in self.spec["containers"] if each["name"] == name]
        return found


def pods(overlay: str) -> Iterator[Pod]:
    """The pods of every workload."""
    for each in built(overlay):
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or spec.get("template")
        if template:
            yield Pod(f"{each['kind']} {each['metadata']['name']}", template["spec"])


def containers(overlay: str) -> Iterator[Manifest]:
    """The containers of every pod."""
    for pod in pods(overlay):
        yield from pod.spec["containers"]


def environment(container: Manifest) -> Mapping[str, str]:
    """The variables a container is given as they are written; one read from elsewhere is empty."""
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}
