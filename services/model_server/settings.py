"""The command line of the model server: TensorFlow Serving's flags, and --host."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# The exit status of tensorflow_model_server when it refuses to start.
REFUSED = 255


@dataclass(frozen=True)
class Settings:
    """One field a flag, under the flag's name."""

    host: str
    port: int
    rest_api_port: int
    rest_api_timeout_in_ms: int
    rest_api_enable_cors_support: bool
    model_name: str | None
    model_base_path: str | None
    model_config_file: Path | None
    model_config_file_poll_wait_seconds: int
    monitoring_config_file: Path | None
    allow_version_labels_for_unavailable_models: bool
    enable_grpc_healthcheck_service: bool
    enable_signature_method_name_check: bool
    max_num_load_retries: int
    load_retry_interval_micros: int
    file_system_poll_wait_seconds: int
    tensorflow_intra_op_parallelism: int
    tensorflow_inter_op_parallelism: int


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(REFUSED, f"{message}\n")


def parse(arguments: Sequence[str]) -> Settings:
    """Read the flags, --name=value. One that is not known is reported and skipped, as TensorFlow Serving does."""
    parser = _Parser(prog="tensorflow_model_server", description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--model_name", help="name of the only model; with --model_base_path")
    parser.add_argument("--model_base_path", help="folder that holds the model's versions")
    parser.add_argument("--model_config_file", type=Path, help="ModelServerConfig in text format; none: start empty")
    parser.add_argument("--monitoring_config_file", type=Path, help="MonitoringConfig in text format")
    for name, default, about in _NUMBERS:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{about} (default {default})")
    for name, about in _SWITCHES:
        parser.add_argument(f"--{name}", type=_switch, nargs="?", const=True, default=False, help=about)
    known, unknown = parser.parse_known_args(arguments)
    for argument in unknown:
        print(f"unknown argument: {argument}", file=sys.stderr)
    if unknown:
        parser.print_usage(sys.stderr)
    return Settings(**vars(known))


_NUMBERS = (
    ("port", 8500, "gRPC port; 0 takes a free one"),
    ("rest_api_port", -1, "REST port; 0 takes a free one, -1 serves no REST"),
    ("rest_api_timeout_in_ms", 30_000, "time limit of a REST request"),
    ("model_config_file_poll_wait_seconds", 0, "how often to read the config file again; 0: never"),
    ("max_num_load_retries", 5, "how often a failed load is tried again"),
    ("load_retry_interval_micros", 60_000_000, "pause before the next try"),
    ("file_system_poll_wait_seconds", 1, "how often to look for versions; 0 or less: only on reload"),
    ("tensorflow_intra_op_parallelism", 0, "threads of one operation; 0: TensorFlow decides"),
    ("tensorflow_inter_op_parallelism", 0, "requests of one version that run at once; 0: one a core, at least 4"),
)
_SWITCHES = (
    ("rest_api_enable_cors_support", "answer browsers of any origin"),
    ("allow_version_labels_for_unavailable_models", "a new label may point at a version that is not loaded yet"),
    ("enable_grpc_healthcheck_service", "serve grpc.health.v1"),
    ("enable_signature_method_name_check", "Classify and Regress refuse signatures made for another method"),
)


def _switch(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"a switch is true or false. Received: {text!r}")
    return values[text.lower()]


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))
