"""The server core: which models, which labels, and the servable that a model spec means.

The order of steps and the texts follow tensorflow_serving/model_servers/server_core.cc.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.core.errors import (
    Code,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    TensorgateError,
)
from services.core.tfs import model_pb2, model_server_config_pb2
from services.model_server.config import ModelConfig, read_config
from services.model_server.manager import Manager, Version
from services.model_server.policy import State
from services.model_server.servable import Servable
from services.model_server.source import versions_in

log = logging.getLogger(__name__)

Labels = Mapping[str, Mapping[str, int]]


class ModelsUnavailable(TensorgateError):
    """Models that were asked for did not load."""

    code = Code.UNKNOWN

    def __init__(self, noun: str, failed: list[tuple[str, Version]]) -> None:
        listed = "".join(
            f"{{{{name: {name} version: {version.number}}} due to error: "
            f"{version.error.code.name}: {version.error.message}}}, "
            for name, version in failed
            if version.error is not None
        )
        super().__init__(f"{len(failed)} {noun}(s) did not become available: {{{listed}}}")


@dataclass(frozen=True)
class CoreOptions:
    """`poll_seconds`: how often base paths are read; 0 or less: only when the config changes."""

    poll_seconds: float = 1.0
    allow_labels_for_unavailable_models: bool = False


class ServerCore:
    """Joins config, source and manager. All methods belong to the event loop's thread."""

    def __init__(self, manager: Manager, options: CoreOptions) -> None:
        self._manager = manager
        self._options = options
        self._models: tuple[ModelConfig, ...] = ()
        self._labels: Labels = {}
        self._empty: set[str] = set()
        self._reloading = asyncio.Lock()

    async def reload(self, config: model_server_config_pb2.ModelServerConfig, noun: str = "model") -> None:
        """Serve what `config` lists and nothing else; returns when models that are new to the config are available.

        A model served before changes in the background. Raises InvalidArgument, FailedPrecondition (a label on a
        version that is not available) or, when a new model fails to load, ModelsUnavailable. One reload at a time.
        """
        async with self._reloading:
            models = read_config(config)
            self._labels = self._checked_labels(models)
            known = {model.name for model in self._models}
            wanted = {model.name for model in models}
            self._models = models
            for name in known - wanted:
                self._manager.aspire(name, {})
            await self._poll()
            failed = await self._manager.settled(wanted - known)
        if failed:
            raise ModelsUnavailable(noun, failed)

    async def watch(self) -> None:
        """Poll the base paths for ever."""
        while self._options.poll_seconds > 0:
            await asyncio.sleep(self._options.poll_seconds)
            await self._poll()

    async def _poll(self) -> None:
        models = self._models
        found = await asyncio.to_thread(lambda: [versions_in(model.base_path) for model in models])
        if models is not self._models:
            return  # a reload came between; its own poll counts
        for model, paths in zip(models, found, strict=True):
            self._say_when_empty(model, paths)
            if paths is not None:
                self._manager.aspire(model.name, {number: paths[number] for number in model.aspired(paths)})

    def _say_when_empty(self, model: ModelConfig, paths: Mapping[int, Path] | None) -> None:
        """Once, not at every poll."""
        if paths:
            self._empty.discard(model.name)
        elif model.name not in self._empty:
            self._empty.add(model.name)
            log.warning("Model %s has no versions below %s", model.name, model.base_path)

    def _checked_labels(self, models: Iterable[ModelConfig]) -> Labels:
        return {
            model.name: {
                label: self._checked_label(model.name, label, version) for label, version in model.labels.items()
            }
            for model in models
        }

    def _checked_label(self, name: str, label: str, version: int) -> int:
        """A label points at an available version; a new label may be excused by the options."""
        moved = self._labels.get(name, {}).get(label, version) != version
        if self._options.allow_labels_for_unavailable_models and not moved:
            return version
        if not any(v.number == version and v.state is State.AVAILABLE for v in self._manager.versions(name)):
            raise FailedPrecondition(
                f"Request to assign label to version {version} of model {name}, "
                "which is not currently available for inference"
            )
        return version

    def serves(self, name: str) -> bool:
        """Whether the config lists a model of this name."""
        return name in self._labels

    def servable(self, spec: model_pb2.ModelSpec) -> Servable:
        """The servable a spec means. Raises InvalidArgument or NotFound."""
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            number = self._labels.get(spec.name, {}).get(spec.version_label)
            if number is None:
                raise InvalidArgument(f"Unrecognized servable version label: {spec.version_label}")
            return self._manager.servable(spec.name, number)
        return self._manager.servable(spec.name, spec.version.value if choice == "version" else None)

    def versions(self, spec: model_pb2.ModelSpec) -> list[Version]:
        """The versions a status request means; a label is not looked at. Raises NotFound when there are none."""
        versions = self._manager.versions(spec.name)
        if spec.WhichOneof("version_choice") == "version":
            number = spec.version.value
            versions = [version for version in versions if version.number == number]
            if not versions:
                raise NotFound(f"Could not find version {number} of model {spec.name}")
        if not versions:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        return versions
