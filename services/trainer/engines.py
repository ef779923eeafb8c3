"""Where a run's models are trained: in this process, in several together, or on Ray."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from services.core.errors import FailedPrecondition, InvalidArgument
from services.trainer.fit.crew import Crew, crew_of_workers
from services.trainer.fit.recipe import Engine, here
from services.trainer.settings import TrainerSettings

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


@contextmanager
def engine_of(name: str, settings: TrainerSettings) -> Iterator[Engine]:
    """The engine of that name while it is used.

    Raises InvalidArgument for an unknown name, FailedPrecondition where Ray is not installed, Unavailable when
    it cannot be reached.
    """
    if name not in ENGINES:
        raise InvalidArgument(f"Models are trained on one of: {', '.join(ENGINES)}. Received: {name!r}")
    if name == LOCAL:
        yield here
        return
    with needs_ray():
        from services.trainer.ray_cluster import on_ray  # large, and installed by those who ask for it
        from services.trainer.ray_models import RayModels
    with on_ray():
        yield RayModels(settings.datasets)


def crew_of(engine: str, settings: TrainerSettings) -> Crew | None:
    """The workers that TF_CONFIG names, this process among them, when all are there; None if it names no others.

    To be called before TensorFlow has done anything. Raises InvalidArgument.
    """
    cluster = json.loads(settings.tf_config or "{}").get("cluster", {})
    if sum(map(len, cluster.values())) < 2:
        return None
    if set(cluster) != {"worker"}:
        raise InvalidArgument(f"TF_CONFIG names tasks of the type `worker`. Received: {', '.join(cluster)}")
    if engine != LOCAL:
        raise InvalidArgument(f"Workers that TF_CONFIG names train by themselves. Received: --engine {engine}")
    return crew_of_workers()


@contextmanager
def needs_ray() -> Iterator[None]:
    """For imports. Raises FailedPrecondition where Ray is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise FailedPrecondition(
            "Training runs on Ray where it is installed: in a checkout, pip install '.[ray]'. Received: none here"
        ) from None
