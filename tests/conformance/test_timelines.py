"""How states change over time: files come and go as recorded, the order of states must be the recorded one."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from services.core.tfs import get_model_status_pb2
from tests.model_server.server_process import Client, predict_request, running, start, stop
from tests.polling import until

# What lies below each base path when the recording starts.
FIRST_VERSIONS: Mapping[str, tuple[int, ...]] = {
    "new_version_latest1": (1,),
    "new_version_then_removed": (1, 2),
    "older_version_appears": (2,),
    "all_policy": (1, 2),
    "half_copied_no_retries": (1,),
    "broken_new_version": (1,),
    "bad_warmup_new_version": (1,),
    "base_path_removed": (1,),
    "config_file_polled": (1, 2, 3),
}
EMPTY_AT_FIRST = "stays_empty_then_version"
POLL_SECONDS = 0.1
SETTLE_SECONDS = 2.5
PASSING = ("START", "LOADING", "UNLOADING")

Event = tuple[Any, str]


@dataclass
class Model:
    """One timeline: its own base path in one server that plays them all."""

    name: str
    base: Path
    corpus: Path
    policy: str = ""
    broken_line: str = ""
    seen: list[Event] = field(default_factory=list)

    def config(self) -> str:
        return (
            f'config {{ name: "{self.name}" base_path: "{self.base}" model_platform: "tensorflow" '
            f"{self.policy} {self.broken_line} }}"
        )

    def put(self, number: int, source: str) -> None:
        """A whole version, renamed into place."""
        beside = self.base.parent / f"{self.name}.{number}.tmp"
        shutil.copytree(self.corpus / "models" / source, beside)
        self.base.mkdir(exist_ok=True)
        beside.rename(self.base / str(number))

    def act(self, action: str) -> None:
        number = int(found.group()) if (found := re.search(r"\d", action)) else 0
        version = self.base / str(number)
        if action.startswith("empty directory"):
            version.mkdir()
        elif action.endswith("saved_model.pb copied"):
            shutil.copy(self.corpus / "models/half_plus_two" / str(number) / "saved_model.pb", version)
        elif action.endswith("variables copied"):
            shutil.copytree(self.corpus / "models/half_plus_two" / str(number) / "variables", version / "variables")
        elif action.endswith("directory removed"):
            shutil.rmtree(version)
        elif action == "base path removed":
            shutil.rmtree(self.base)
        elif action.startswith("broken version"):
            self.put(number, "broken/1")
        elif action.endswith("bad warm-up record"):
            self.put(number, "warm_badinput/1")
        elif action.startswith("file now says"):
            self.broken_line = ""
            policy = "all { }" if action.endswith("all") else f"specific {{ versions: {number} }}"
            self.policy = f"model_version_policy {{ {policy} }}"
        elif action.startswith("a line that cannot be parsed"):
            self.broken_line = "nope: 1"
        else:
            assert action.endswith("renamed into place") or action.startswith("base path with version"), action
            self.put(number, f"half_plus_two/{number}")

    def look(self, client: Client) -> None:
        """Append what is to be seen now, when it changed."""
        event = (self._status(client), self._default(client))
        if not self.seen or self.seen[-1] != event:
            self.seen.append(event)

    def _status(self, client: Client) -> Any:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.name
        answered = client.models.GetModelStatus(request, timeout=5)
        return [
            [
                entry.version,
                type(entry).State.Name(entry.state),
                "OK" if not entry.status.error_code else grpc_code(entry.status.error_code),
                entry.status.error_message.replace(f"{self.base}/", "/models/m/"),
            ]
            for entry in answered.model_version_status
        ]

    def _default(self, client: Client) -> str:
        request = predict_request(self.name, {"x": np.zeros(1, np.float32)})
        return f"version {client.prediction.Predict(request, timeout=5).model_spec.version.value}"


def grpc_code(number: int) -> str:
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def stable(events: list[Event]) -> list[Event]:
    """Events without states that pass within a poll; the recorder missed some of those too."""
    lasting = [event for event in events if not any(entry[1] in PASSING for entry in event[0])]
    return [event for index, event in enumerate(lasting) if index == 0 or lasting[index - 1] != event]


def recorded_events(events: list[Mapping[str, Any]]) -> list[Event]:
    """What was seen, less what the next look already saw changed: TensorFlow Serving acts every 0.1 s, we at once."""
    seen = [event for event in events if "status" in event]
    lasted = [
        event
        for event, after in zip(seen, [*seen[1:], None], strict=True)
        if after is None or after["t"] - event["t"] > 1.5 * POLL_SECONDS
    ]
    return [(event["status"], event["predict_default"]) for event in lasted]


def is_subsequence(wanted: list[Event], got: list[Event]) -> bool:
    rest = iter(got)
    return all(any(event == other for other in rest) for event in wanted)


@pytest.fixture(scope="module")
def timelines(corpus: Path) -> Mapping[str, Any]:
    recorded = json.loads((corpus / "timelines.json").read_text())
    assert set(recorded) == {*FIRST_VERSIONS, EMPTY_AT_FIRST, "startup"}
    return {name: recorded[name] for name in (*FIRST_VERSIONS, EMPTY_AT_FIRST)}


def _write_config(models: list[Model], file: Path) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(f"model_config_list {{ {' '.join(model.config() for model in models)} }}")
    temporary.rename(file)


@pytest.fixture(scope="module")
def played(corpus: Path, timelines: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """All timelines at once, in one server, a model each."""
    folder = tmp_path_factory.mktemp("timelines")
    models = [Model(name, folder / name, corpus) for name in FIRST_VERSIONS]
    for model in models:
        for number in FIRST_VERSIONS[model.name]:
            model.put(number, f"half_plus_two/{number}")
        if model.name == "all_policy":
            model.policy = "model_version_policy { all { } }"
    _write_config(models, folder / "models.config")
    flags = (
        "--port=0",
        f"--model_config_file={folder}/models.config",
        "--model_config_file_poll_wait_seconds=1",
        "--max_num_load_retries=0",
    )
    actions = sorted(
        (event["t"], model.name, event["action"])
        for model in models
        for event in timelines[model.name]["events"]
        if "action" in event
    )
    with running(flags, folder / "log") as client:
        client.settle(list(FIRST_VERSIONS))
        _play(models, actions, client, folder)
    return models


def _play(models: list[Model], actions: list[tuple[float, str, str]], client: Client, folder: Path) -> None:
    by_name = {model.name: model for model in models}
    began = time.monotonic()
    waiting = list(actions)
    while waiting or time.monotonic() - began < actions[-1][0] + SETTLE_SECONDS:
        while waiting and waiting[0][0] <= time.monotonic() - began:
            _, name, action = waiting.pop(0)
            by_name[name].act(action)
            if name == "config_file_polled":
                _write_config(models, folder / "models.config")
        _look(models, client)
        _pause(POLL_SECONDS)


def _look(models: list[Model], client: Client) -> None:
    for model in models:
        model.look(client)


def _pause(seconds: float) -> None:
    """Recorded times are the test's input here, not a guess at how long something takes."""
    deadline = time.monotonic() + seconds
    until(lambda: time.monotonic() >= deadline, seconds + 5, every=seconds)


@pytest.mark.parametrize("name", FIRST_VERSIONS)
def test_states_change_in_the_recorded_order(name: str, played: list[Model], timelines: Mapping[str, Any]) -> None:
    seen = next(model.seen for model in played if model.name == name)
    wanted = stable(recorded_events(timelines[name]["events"]))
    assert is_subsequence(wanted, stable(seen)), seen
    assert stable(seen)[-1] == wanted[-1]


def test_no_port_is_open_before_every_model_has_a_version(corpus: Path, tmp_path: Path) -> None:
    model = Model("m", tmp_path / "m", corpus)
    model.base.mkdir()
    process = start(("--port=0", "--model_name=m", f"--model_base_path={model.base}"), tmp_path / "log")
    try:
        until(lambda: (tmp_path / "log").read_text().count("no versions below") > 0, 30)
        assert _listening(process.pid) == 0
        model.put(1, "half_plus_two/1")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["grpc_port"]
        assert _listening(process.pid) > 0
    finally:
        stop(process)


def _listening(pid: int) -> int:
    """How many TCP sockets a process listens on (state 0A in /proc/PID/net/tcp, by the inodes of its descriptors)."""
    inodes = {
        target[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if (target := str(_target(link))).startswith("socket:[")
    }
    rows = [line.split() for table in ("tcp", "tcp6") for line in _lines(Path(f"/proc/{pid}/net/{table}"))]
    return sum(row[3] == "0A" and row[9] in inodes for row in rows)


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()[1:] if file.exists() else []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
