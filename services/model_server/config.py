"""Which models to serve: TensorFlow Serving's `ModelServerConfig`, checked by its rules and turned into values.

The rules and texts are those of tensorflow_serving/model_servers/server_core.cc.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from google.protobuf import descriptor_pb2, message_factory, text_format
from google.protobuf.message import Message

from services.core.errors import InvalidArgument
from services.core.tfs import model_server_config_pb2

PLATFORM = "tensorflow"
DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"
M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class ModelConfig:
    """One model: where its versions lie, which of them to serve, and its labels."""

    name: str
    base_path: Path
    latest: int | None = 1
    specific: frozenset[int] = frozenset()
    labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def aspired(self, on_disk: Iterable[int]) -> frozenset[int]:
        """The versions to serve of those on disk: the specific ones, or the newest `latest` (None: all)."""
        if self.specific:
            return self.specific & frozenset(on_disk)
        newest_first = sorted(on_disk, reverse=True)
        return frozenset(newest_first[: self.latest])


def read_config(config: model_server_config_pb2.ModelServerConfig) -> tuple[ModelConfig, ...]:
    """The models of a config; raises InvalidArgument with TensorFlow Serving's texts."""
    if config.WhichOneof("config") != "model_config_list":
        raise InvalidArgument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    listed = config.model_config_list.config
    names: set[str] = set()
    for model in listed:
        if model.name in names:
            raise InvalidArgument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
    return tuple(_read_model(model) for model in listed)


def _read_model(model: model_server_config_pb2.ModelConfig) -> ModelConfig:
    if not Path(model.base_path).is_absolute():
        raise InvalidArgument(
            f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
        )
    if not model.model_platform and not model.model_type:
        raise InvalidArgument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    if model.model_platform not in ("", PLATFORM):
        raise InvalidArgument(f"Model {model.name} requests unsupported platform {model.model_platform}")
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    return ModelConfig(
        name=model.name,
        base_path=Path(model.base_path),
        latest=None if kind == "all" else max(1, policy.latest.num_versions),
        specific=frozenset(policy.specific.versions),
        labels=MappingProxyType(dict(model.version_labels)),
    )


def single_model(name: str, base_path: str) -> model_server_config_pb2.ModelServerConfig:
    """The config that --model_name and --model_base_path stand for."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def read_model_config_file(path: Path) -> model_server_config_pb2.ModelServerConfig:
    """Parse --model_config_file; raises InvalidArgument when it is no ModelServerConfig in text format."""
    return _read_text(path, model_server_config_pb2.ModelServerConfig())


def read_metrics_path(path: Path | None) -> str | None:
    """The path of the Prometheus page that --monitoring_config_file enables, or None."""
    if path is None:
        return None
    prometheus: Any = getattr(_read_text(path, _monitoring_config()), "prometheus_config")  # noqa: B009 - made at run time
    return prometheus.path or DEFAULT_METRICS_PATH if prometheus.enable else None


def _monitoring_config() -> Message:
    """A `MonitoringConfig` (tensorflow_serving/config/monitoring_config.proto), which the API package leaves out."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="monitoring_config.proto", package="tensorflow.serving")
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    prometheus.field.add(name="path", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    monitoring = file.message_type.add(name="MonitoringConfig")
    monitoring.field.add(
        name="prometheus_config",
        number=1,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_OPTIONAL,
        type_name=".tensorflow.serving.PrometheusConfig",
    )
    return message_factory.GetMessages([file])["tensorflow.serving.MonitoringConfig"]()


def _read_text(path: Path, message: M) -> M:
    try:
        return text_format.Parse(path.read_text(), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}'") from error
