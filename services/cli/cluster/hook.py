"""Alertmanager's webhook: a firing alert that names a model begins the training that the model's schedule describes.

What is sent: Alertmanager's configuration reference, `<webhook_config>`, version 4.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from services.cli.cluster.manifests import Manifest, check_ours, job_name, job_of, schedule_name, state_of, words_of
from services.core.errors import (
    HTTP_STATUS,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    TensorgateError,
)

_log = logging.getLogger(__name__)
_MOST_BYTES = 1 << 20
_SILENT_SECONDS = 10


class Alert(BaseModel):
    """One of a notice's; other fields are passed over."""

    status: Literal["firing", "resolved"]
    labels: Mapping[str, str]
    since: AwareDatetime = Field(alias="startsAt")


class Notice(BaseModel):
    """What Alertmanager posts."""

    version: Literal["4"]
    alerts: tuple[Alert, ...]


class Schedules(Protocol):
    """What is asked of a cluster."""

    def schedule(self, name: str) -> Manifest:
        """A CronJob."""
        ...

    def jobs(self) -> list[Manifest]:
        """All jobs of ours."""
        ...

    def start(self, job: Manifest) -> None:
        """Create it."""
        ...


def wanted(notice: Notice) -> Mapping[str, datetime]:
    """The models that firing alerts name, and since when; an alert without the label `model` names none."""
    firing = [alert for alert in notice.alerts if alert.status == "firing" and alert.labels.get("model")]
    newest_last = sorted(firing, key=lambda alert: alert.since)
    return {alert.labels["model"]: alert.since.astimezone(UTC) for alert in newest_last}


def retrain(cluster: Schedules, model: str, since: datetime) -> str:
    """Begin a job as the model's schedule would; its name.

    An alert that is told again finds its job there. Raises NotFound for a model without a schedule, AlreadyExists while
    one of its jobs is under way or for an alert that had its own, FailedPrecondition for a schedule that is suspended.
    """
    name = schedule_name(model)
    schedule = cluster.schedule(name)
    check_ours(schedule)
    if schedule["spec"].get("suspend"):
        raise FailedPrecondition(f"A schedule that is suspended starts nothing. Received: {name}")
    if under_way := unfinished(cluster.jobs(), name):
        raise AlreadyExists(f"A model is trained by one job at a time. Received: {model}, which {under_way} trains")
    job = job_name(model, since)
    cluster.start(job_of(schedule, job, words_of(schedule)))
    return job


def unfinished(jobs: Iterable[Manifest], schedule: str) -> str | None:
    """A job of the schedule's, begun by the cluster, by hand or by an alert, that is not at its end."""
    names = {job["metadata"]["name"] for job in jobs if not state_of(job).is_end}
    return next((name for name in sorted(names) if re.fullmatch(rf"{re.escape(schedule)}-\d+", name)), None)


@dataclass(frozen=True)
class Hook:
    """Who may ask, and what is done then, one notice at a time."""

    cluster: Schedules
    token: str
    turn: threading.Lock = field(default_factory=threading.Lock)

    def may(self, authorization: str) -> bool:
        """Is that `Bearer <token>`?"""
        return hmac.compare_digest(authorization.encode(), f"Bearer {self.token}".encode())

    def hear(self, notice: Notice) -> Mapping[str, str]:
        """What became of each model: its job, or why there is none. Raises what may be otherwise in a minute."""
        with self.turn:
            return {model: self._told(model, since) for model, since in wanted(notice).items()}

    def _told(self, model: str, since: datetime) -> str:
        try:
            told = retrain(self.cluster, model, since)
        except (AlreadyExists, FailedPrecondition, InvalidArgument, NotFound) as error:
            told = error.message
        _log.info("%r: %s", model, told)
        return told


def hook_server(hook: Hook, address: tuple[str, int]) -> ThreadingHTTPServer:
    """POST /retrain with `Authorization: Bearer <token>`; GET /livez. Raises OSError where the port is taken.

    5xx is for what Alertmanager shall send again, which it does; all else that was understood is answered by 200.
    """

    class Handler(_Handler):
        asks = hook

    return ThreadingHTTPServer(address, Handler)


class _Handler(BaseHTTPRequestHandler):
    asks: Hook
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tensorgate", ""
    timeout = _SILENT_SECONDS

    def do_GET(self) -> None:
        """The probe."""
        self._answer(*((200, {"live": True}) if self.path == "/livez" else (404, {})))

    def do_POST(self) -> None:
        """The hook."""
        if self.path != "/retrain":
            self._refuse(404, "The hook is POST /retrain")
        elif not self.asks.may(self.headers.get("Authorization", "")):
            self._refuse(401, "The hook is asked with Authorization: Bearer <token>")
        elif not 0 < (length := _length(self.headers.get("Content-Length"))) <= _MOST_BYTES:
            self._refuse(413, f"A notice has a Content-Length of 1 to {_MOST_BYTES}")
        else:
            self._hear(self.rfile.read(length))

    def _hear(self, body: bytes) -> None:
        try:
            self._answer(200, self.asks.hear(Notice.model_validate_json(body)))
        except ValidationError:
            self._refuse(400, "A notice is what Alertmanager's webhook sends in version 4")
        except TensorgateError as error:
            _log.warning("%s", error.message)
            self._refuse(max(500, HTTP_STATUS[error.code]), "The cluster did not do it")

    def _refuse(self, code: int, message: str) -> None:
        self.close_connection = True  # its body may not have been read
        self._answer(code, {"error": message})

    def _answer(self, code: int, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A probe every few seconds is no news."""


def _length(header: str | None) -> int:
    return int(header) if header and header.isascii() and header.isdigit() else 0
