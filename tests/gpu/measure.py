"""What a GPU does for training and serving: `python -m tests.gpu.measure` writes docs/gpu.md.

Trains mnist's convnet by the command, as it is, in 16 bits, by XLA, and with TensorFlow taking the whole of the memory;
on two GPUs if there are as many;
then serves what was published, on the GPU and on the processors, to `tensorgate tune-batching`. Needs NVIDIA's driver,
`tensorflow[and-cuda]` in place of tensorflow-cpu, and TENSORGATE_DATASETS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from services.store import open_store
from services.trainer.run_record import RunRecord
from tests.benchmarks.page import table
from tests.model_server.server_process import ROOT, running

PAGE = ROOT / "docs" / "gpu.md"
PLUGIN, VARIANT = "mnist", "convnet"
TWO = "`devices=2`"
GROWS = "TF_FORCE_GPU_ALLOW_GROWTH"
WAYS: Mapping[str, tuple[Sequence[str], Mapping[str, str]]] = {
    "as it is": ((), {}),
    "the whole memory at once": ((), {GROWS: "false"}),
    "`mixed_precision=true`": (("mixed_precision=true",), {}),
    "`jit_compile=true`": (("jit_compile=true",), {}),
    "both": (("mixed_precision=true", "jit_compile=true"), {}),
    TWO: (("devices=2",), {}),
    "on the processors": ((), {"CUDA_VISIBLE_DEVICES": ""}),
}
_TENSORGATE = (sys.executable, "-m", "services.cli")


def gpus() -> Sequence[str]:
    """Names of the GPUs that NVIDIA's driver has, with its release; none where there is no driver."""
    return _asked("name,driver_version")


def why_not() -> str | None:
    """Why nothing can be measured here."""
    if not gpus():
        return "no GPU: nvidia-smi is not here, or lists none"
    program = "import tensorflow as tf, sys; sys.exit(not tf.config.list_physical_devices('GPU'))"
    if subprocess.run([sys.executable, "-c", program], capture_output=True).returncode:
        return "TensorFlow sees no GPU: install tensorflow[and-cuda] in place of tensorflow-cpu"
    return None


def ways(gpus: int) -> Sequence[str]:
    """Those that so many GPUs can go."""
    return [way for way in WAYS if way != TWO or gpus > 1]


@dataclass(frozen=True)
class Trained:
    """One run: what was switched, how long fitting took, its figure, and the most memory of the GPUs in use, in MiB."""

    way: str
    seconds: float
    figure: str
    memory: int


def main(page: Path, epochs: int) -> None:
    """Measure all and write the page."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        trained = [_train(home, way, epochs) for way in ways(len(gpus()))]
        served = {where: _serve(home, where, hidden) for where, hidden in (("GPU", False), ("processors", True))}
    page.write_text(written(gpus(), trained, served, epochs))


def written(names: Sequence[str], trained: Sequence[Trained], served: Mapping[str, str], epochs: int) -> str:
    """The page."""
    rows = [(one.way, f"{one.seconds:.1f}", one.figure, f"{one.memory:,}") for one in trained]
    training = table(("mnist/convnet", "seconds of fitting", "figure", "MiB of the GPU, at most"), *rows)
    serving = "".join(f"### On the {where}\n\n```\n{text.strip()}\n```\n\n" for where, text in served.items())
    return f"""# On a GPU

Written by `python -m tests.gpu.measure` on {date.today()}, on {"; ".join(names)}, with {os.cpu_count()} processors.

## Training

{epochs} epochs each, by `tensorgate train {PLUGIN} --variant {VARIANT} --set ...`.

{training}
## Serving

The embedded model server, called by `tensorgate tune-batching {PLUGIN}`.

{serving.strip()}
"""


def _train(home: Path, way: str, epochs: int) -> Trained:
    switches, variables = WAYS[way]
    words = ["train", PLUGIN, "--variant", VARIANT, "--force", "--json"]
    for switch in (f"epochs={epochs}", *switches):
        words += ["--set", switch]
    runs = home / "runs"
    before = set(runs.iterdir()) if runs.exists() else set()
    with _most_memory() as most:
        _run(home, words, variables)
    (folder,) = set(runs.iterdir()) - before
    record = RunRecord.model_validate_json((folder / "run.json").read_text())
    figure = f"{record.metric.name} {record.metrics[record.metric.name]:.4f}"
    return Trained(way, record.seconds["fit"], figure, max(most, default=0))


def _serve(home: Path, where: str, hidden: bool) -> str:
    """What `tune-batching` says of the newest version, on the processors if the GPU is `hidden`."""
    store = open_store(str(home / "store"))
    version = store.labels(PLUGIN)["stable"]
    base_path = home / "served" / where
    (base_path / str(version)).mkdir(parents=True)
    store.fetch(PLUGIN, version, base_path / str(version))
    flags = ["--port=0", "--rest_api_port=0", f"--model_name={PLUGIN}", f"--model_base_path={base_path}"]
    variables = {"CUDA_VISIBLE_DEVICES": ""} if hidden else {}
    with running(flags, home / f"{where}.log", {**os.environ, **variables}) as server:
        server.settle([PLUGIN])
        address = f"127.0.0.1:{server.ports['grpc_port']}"
        return _run(home, ["tune-batching", f"{PLUGIN}/{version}", "--model-server", address], {})


def _run(home: Path, words: Sequence[str], variables: Mapping[str, str]) -> str:
    environment = {**os.environ, "TENSORGATE_HOME": str(home), **variables}
    run = subprocess.run([*_TENSORGATE, *words], env=environment, capture_output=True, text=True, cwd=ROOT)
    if run.returncode:
        raise RuntimeError(f"tensorgate {' '.join(words)} ended with {run.returncode}: {run.stderr[-2000:]}")
    return run.stdout


@contextmanager
def _most_memory() -> Iterator[list[int]]:
    """What of the GPUs' memory is in use, in MiB, looked at four times a second."""
    seen: list[int] = []
    over = Event()

    def look() -> None:
        while not over.wait(0.25):
            seen.extend(int(used) for used in _asked("memory.used"))

    looking = Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


def _asked(fields: str) -> Sequence[str]:
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return []
    return run.stdout.split("\n")[:-1] if run.returncode == 0 else []


if __name__ == "__main__":
    if (reason := why_not()) is not None:
        sys.exit(f"tests.gpu.measure: {reason}")
    main(PAGE, epochs=5)
    print(json.dumps({"written": str(PAGE)}))
