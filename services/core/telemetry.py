"""Logging, set up once by each `__main__`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

# What each JSON line says that is logged in a request's name: its id, and its trace's.
REQUEST: ContextVar[Mapping[str, str]] = ContextVar("request", default=MappingProxyType({}))


class Facts(dict[str, object]):
    """A message that is names and values: in JSON fields of its line, in text an object."""

    def __str__(self) -> str:
        return json.dumps(self, separators=(",", ":"))


class JsonLines(logging.Formatter):
    """An object a record: time (RFC 3339, UTC), level, logger and message, what REQUEST has, and the exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **(record.msg if isinstance(record.msg, Facts) else {"message": record.getMessage()}),
            **REQUEST.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(*, in_json: bool) -> None:
    """One line a record on standard error: time, level, module, message. Ours from INFO up, libraries' from WARNING.

    TensorFlow's from ERROR: its Python half warns of every function of version 1 that a server cannot do without. So is
    python-multipart's, which warns of every upload that is none: who sent it is told, and could fill the log.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if in_json else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("services").setLevel(logging.INFO)
    for noisy in ("tensorflow", "python_multipart"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
