"""Replays the recorded exchanges of one group against our server, with the corpus's own comparison."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc

from tests.model_server.server_process import Client, running

STATEFUL_WAIT = "settle_s"


def load_script(corpus: Path, name: str) -> Any:
    """A comparison script of the corpus, as a module."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, corpus / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(corpus: Path, door: str, group: str) -> list[dict[str, Any]]:
    with (corpus / f"{door}.jsonl").open(encoding="utf-8") as lines:
        listed = [case for case in map(json.loads, lines) if case["group"] == group]
    return sorted(listed, key=lambda case: "metrics" in case["response"])  # that page shows what ran before it


def relocated(text: str, corpus: Path, config: Path) -> str:
    return text.replace("/models/", f"{corpus}/models/").replace("/conf/", f"{config}/")


def flags_of(group: Mapping[str, Any], corpus: Path, config: Path) -> list[str]:
    """The group's flags and config files, put where this machine has them."""
    for name in ("models.config", "monitoring.config"):
        if group[name]:
            (config / name).write_text(relocated(group[name], corpus, config))
    ports = {"--port=<PORT>": "--port=0", "--rest_api_port=<REST_PORT>": "--rest_api_port=0"}
    return [ports.get(flag, relocated(flag, corpus, config)) for flag in group["flags"]]


@dataclass(frozen=True)
class Target:
    """Where a server is, and in which folder it finds the corpus's models."""

    host: str
    grpc_port: int
    rest_port: int
    models: str


def replay(corpus: Path, group: str, folder: Path) -> Mapping[str, Sequence[str]]:
    """What differed, by case; cases that agreed are not in it."""
    with serving(corpus, group, folder) as client:
        return compared(corpus, group, here(corpus, client.ports["grpc_port"], client.ports["rest_port"]))


def here(corpus: Path, grpc_port: int, rest_port: int) -> Target:
    """A server on this machine."""
    return Target("127.0.0.1", grpc_port, rest_port, f"{corpus}/models")


@contextmanager
def serving(corpus: Path, group: str, folder: Path) -> Iterator[Client]:
    """The embedded model server with the group's models, all loaded."""
    described = json.loads((corpus / "groups.json").read_text())[group]
    with running(flags_of(described, corpus, folder), folder / "log") as client:
        client.settle(re.findall(r'\bname: "([^"]+)"', described["models.config"] or ""))
        yield client


def compared(corpus: Path, group: str, target: Target) -> Mapping[str, Sequence[str]]:
    """What differs from the recording there, by case."""
    return {**_replay_grpc(corpus, group, target), **_replay_rest(corpus, group, target)}


def _replay_grpc(corpus: Path, group: str, target: Target) -> Mapping[str, Sequence[str]]:
    script = load_script(corpus, "check_grpc")
    protos = script.Protos(corpus / "protos.fds")
    differences: dict[str, Sequence[str]] = {}
    options = [("grpc.enable_http_proxy", 0)]

    def as_recorded(text: str) -> str:
        return text.replace(f"{target.models}/", "/models/")

    with grpc.insecure_channel(f"{target.host}:{target.grpc_port}", options=options) as channel:
        for case in cases(corpus, "grpc", group):
            script.time.sleep(case.get(STATEFUL_WAIT, 0))
            got = script.call(channel, case, script.relocate(protos, case, target.models))
            got["details"] = as_recorded(got["details"])
            bad, soft = script.compare(protos, case, got, as_recorded)
            if bad or soft:
                differences[case["id"]] = [*(f"FATAL {line}" for line in bad), *soft]
    return differences


def _replay_rest(corpus: Path, group: str, target: Target) -> Mapping[str, Sequence[str]]:
    script = load_script(corpus, "check_rest")
    models = f"{target.models}/".encode()
    differences: dict[str, Sequence[str]] = {}
    for case in cases(corpus, "rest", group):
        got = script.send(target.host, target.rest_port, case["request"])
        bad, soft = script.compare(case, got, lambda body: body.replace(models, b"/models/"))
        seen = [line for line in soft if not line.startswith("bytes differ")]  # white space and the order of keys
        if bad or seen:
            differences[case["id"]] = [*(f"FATAL {line}" for line in bad), *seen]
    return differences
