"""The Ray that training runs on: the one at RAY_ADDRESS, or else this machine's, which is started if there is none.

No folder needs to be seen by all its machines: settings go out, figures and files come back over Ray. A worker has
Tensorgate and the plugin installed; it fetches the data itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from services.core.errors import Unavailable
from services.trainer.settings import TrainerSettings
from services.trainer.sources.datasets import DatasetFetcher
from services.trainer.sources.downloads import Say


@contextmanager
def on_ray() -> Iterator[None]:
    """Joined to Ray; a process that is so already stays joined. A Ray started here sends no usage statistics.

    Raises Unavailable when it cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    with errors_as_here():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def errors_as_here() -> Iterator[None]:
    """What a task raises is raised as it would be in this process; Unavailable when Ray goes away."""
    try:
        yield
    except (RayError, ConnectionError) as error:
        if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
            raise error.cause from error
        raise Unavailable(
            f"Ray, at RAY_ADDRESS or started here, is there until all is trained. Received: {error}"
        ) from error


@dataclass(frozen=True)
class Room:
    """What there is to train on, by processor or, if there are any, by GPU."""

    processors: int
    gpus: int

    @property
    def at_once(self) -> int:
        """Tasks that can be run at a time."""
        return max(1, self.gpus or self.processors)

    def task(self, function: Callable[..., Any], tries_again: int) -> Any:
        """The function as a Ray task, which is begun anew so often when its worker is lost."""
        return ray.remote(num_gpus=min(self.gpus, 1), max_retries=tries_again)(function)


def room() -> Room:
    """Of the whole cluster."""
    has = ray.cluster_resources()
    return Room(int(has.get("CPU", 1)), int(has.get("GPU", 0)))


def datasets_of_worker(mirror: str, say: Say) -> DatasetFetcher:
    """Datasets as a task gets them, where it is run."""
    return DatasetFetcher(TrainerSettings().datasets_folder, mirror, say)
