"""Names: what a model, version and label may be called, and how one is referred to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.core.errors import InvalidArgument

# TensorFlow Serving's REST paths end a name at "/" or ":"; a store key and a folder want no spaces and no leading dot.
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# TensorFlow Serving's documentation restricts labels to this set (api_rest.md).
_LABEL = re.compile(r"[A-Za-z0-9_]{1,64}")
_MAX_VERSION = 2**63 - 1
_DIGITS = re.compile(r"[0-9]{1,19}")
_MOST_SHOWN = 40  # characters of what was received

STABLE = "stable"


def is_model_name(name: str) -> bool:
    """Whether a model may be called that."""
    return _MODEL_NAME.fullmatch(name) is not None


def check_model_name(name: str) -> str:
    """Return `name`, or raise InvalidArgument with the rule."""
    if not is_model_name(name):
        raise InvalidArgument(
            "A model name has 1 to 100 letters, digits, '.', '_' or '-' and starts with a letter or digit. "
            f"Received: {name[:_MOST_SHOWN]!r}"
        )
    return name


def check_label(label: str) -> str:
    """Return `label`, or raise InvalidArgument with the rule."""
    if not _LABEL.fullmatch(label):
        raise InvalidArgument(f"A label has 1 to 64 letters, digits or '_'. Received: {label[:_MOST_SHOWN]!r}")
    return label


def check_version(version: int) -> int:
    """Return `version`, or raise InvalidArgument with the rule."""
    if not 1 <= version <= _MAX_VERSION:
        raise InvalidArgument(f"A version is a whole number from 1 to 2^63-1. Received: {version!r}")
    return version


def is_version(digits: str) -> bool:
    """Whether that is a version's number, as a folder is named: no leading zero."""
    return _DIGITS.fullmatch(digits) is not None and not digits.startswith("0")


def parse_version(digits: str) -> int:
    """Read a version number. Raises InvalidArgument with the rule."""
    if not _DIGITS.fullmatch(digits):
        raise InvalidArgument(f"A version is a whole number from 1 to 2^63-1. Received: {digits[:_MOST_SHOWN]!r}")
    return check_version(int(digits))


@dataclass(frozen=True)
class ModelRef:
    """A model, and at most one of a version or a label. Neither means: what `stable` points at."""

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        check_model_name(self.name)
        if self.version is not None and self.label is not None:
            raise InvalidArgument(
                f"Give a version or a label, not both. Received: version {self.version}, label {self.label!r}"
            )
        if self.version is not None:
            check_version(self.version)
        if self.label is not None:
            check_label(self.label)

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}/{self.version}"
        return f"{self.name}@{self.label}" if self.label is not None else self.name


def parse_ref(text: str) -> ModelRef:
    """Read `mnist`, `mnist/3` or `mnist@canary`, as people type them on the command line."""
    name, slash, version = text.partition("/")
    if slash:
        return ModelRef(name, version=parse_version(version))
    name, at, label = text.partition("@")
    return ModelRef(name, label=label) if at else ModelRef(name)
