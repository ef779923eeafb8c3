"""The peers: what each needs, how it is started, how it is asked.

Each serves the SavedModel through `servers/NAME_service.py`, written as its documentation says, by one worker, without
a log of requests. In commands and settings {port}, {spare} and {other} are free ports, {model} is the SavedModel,
{folder} where it runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.core.tensors import Array
from tests.benchmarks.peers.contender import Contender, Door, NotMeasured, Process, Start
from tests.benchmarks.peers.environments import environment
from tests.ports import free_port

SERVERS = Path(__file__).parent / "servers"
TENSORFLOW = "tensorflow-cpu==2.21.0"
PLAIN = "plain FastAPI"


@dataclass(frozen=True)
class Framework:
    """A peer. `requirements` are for pip; `before` runs before each start and is not counted."""

    key: str
    name: str
    requirements: Sequence[str]
    command: Sequence[str]
    door: Door
    settings: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()

    @property
    def release(self) -> str:
        """What was measured."""
        return self.requirements[0].replace("==", " ")

    def contender(self, environments: Path) -> Contender:
        """This peer, its environment built. Raises NotMeasured when it cannot be."""
        tools = environment(environments / self.key, (*self.requirements, TENSORFLOW))
        return Contender(
            self.name,
            (self.door,),
            lambda start: (self._process(self.command, tools, start),),
            lambda start: self._prepare(tools, start),
        )

    def _process(self, command: Sequence[str], tools: Path, start: Start) -> Process:
        ports = {"port": start.port, "spare": free_port(), "other": free_port()}
        places = {**ports, "model": start.served.saved_model, "folder": start.folder}
        told = {**self.settings, "MODEL": "{model}", "PORT": "{port}"}
        settings = {name: value.format_map(places) for name, value in told.items()}
        first, *rest = (word.format_map(places) for word in command)
        return Process((str(tools / first), *rest), {**_surroundings(tools, start.folder), **settings})

    def _prepare(self, tools: Path, start: Start) -> None:
        shutil.copytree(SERVERS, start.folder, dirs_exist_ok=True)
        if not self.before:
            return
        step = self._process(self.before, tools, start)
        ran = subprocess.run(step.command, cwd=start.folder, env=dict(step.environment), capture_output=True, text=True)
        if ran.returncode:
            raise NotMeasured(f"{' '.join(self.before)}: {ran.stderr.strip().splitlines()[-1]}")


def _surroundings(tools: Path, folder: Path) -> Mapping[str, str]:
    """Little of ours; what a framework writes beside its model goes into `folder`."""
    return {"PATH": f"{tools}:{os.defpath}", "HOME": str(folder), "LANG": "C.UTF-8", "TF_CPP_MIN_LOG_LEVEL": "2"}


def rows(path: str, key: str = "instances") -> Door:
    """Asked with a list of one row under `key`, answers likewise under "predictions"."""
    return Door(path, lambda row: {key: [row.tolist()]}, lambda answer: answer["predictions"][0])


def tensor(row: Array) -> object:
    """Open Inference's request for one row."""
    data = row.reshape(-1).tolist()
    return {"inputs": [{"name": "numbers", "shape": [1, *row.shape], "datatype": "FP32", "data": data}]}


FRAMEWORKS = (
    Framework(
        "fastapi",
        PLAIN,
        ("fastapi[standard]==0.165.0", "uvicorn[standard]==0.54.0"),
        ("uvicorn", "fastapi_service:app", "--port={port}", "--no-access-log"),
        rows("/predict"),
    ),
    Framework(
        "kserve",
        "KServe",
        ("kserve==0.21.0",),
        (
            *("python", "kserve_service.py", "--http_port={port}", "--enable_grpc=false"),
            "--enable_latency_logging=false",
        ),
        rows("/v1/models/model:predict"),
    ),
    Framework(
        "mlserver",
        "MLServer",
        ("mlserver==1.7.1",),
        ("mlserver", "start", "."),
        Door("/v2/models/model/infer", tensor, lambda answer: answer["outputs"][0]["data"]),
        {
            "MLSERVER_MODEL_NAME": "model",
            "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_service.Classifier",
            "MLSERVER_MODEL_URI": "{model}",
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{spare}",
            "MLSERVER_METRICS_PORT": "{other}",
            # With 1 it does not start on uvloop's present release.
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_DEBUG": "false",
        },
    ),
    Framework(
        "litserve",
        "LitServe",
        ("litserve==0.2.19",),
        ("python", "litserve_service.py"),
        Door("/predict", lambda row: {"instance": row.tolist()}, lambda answer: answer["scores"]),
    ),
    Framework(
        "bentoml",
        "BentoML",
        ("bentoml==1.4.40",),
        ("bentoml", "serve", "bentoml_service:Classifier", "--host=127.0.0.1", "--port={port}"),
        Door("/predict", lambda row: {"instances": [row.tolist()]}, lambda answer: answer[0]),
        {"BENTOML_HOME": "{folder}/bentoml", "BENTOML_DO_NOT_TRACK": "True"},
    ),
    Framework(
        "ray",
        "Ray Serve",
        ("ray[serve]==2.60.0",),
        ("python", "ray_service.py"),
        rows("/predict"),
        # Its guide to high throughput names these two.
        {
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": "{folder}",
        },
    ),
    Framework(
        "mlflow",
        "MLflow",
        ("mlflow==3.17.2",),
        (
            *("mlflow", "models", "serve", "--model-uri={folder}/model", "--port={port}", "--env-manager=local"),
            "--workers=1",
        ),
        rows("/invocations", "inputs"),
        {"MLFLOW_DISABLE_TELEMETRY": "true"},
        before=("python", "mlflow_service.py"),
    ),
)
