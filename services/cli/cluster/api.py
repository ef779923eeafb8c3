"""The cluster's API server, through the official client: the only module that imports it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from services.cli.cluster.manifests import OURS, TEMPLATE, Manifest, check_ours
from services.core.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)

_ERRORS = {401: PermissionDenied, 403: PermissionDenied, 404: NotFound, 409: AlreadyExists, 422: InvalidArgument}
_CALL_SECONDS = 15
_SILENT_SECONDS = 60  # then the log is asked for again: a connection may be dead and nobody told us


def open_cluster(namespace: str) -> Cluster:
    """The cluster of the kubeconfig's current context, or the one this runs in. Raises FailedPrecondition."""
    try:
        config.load_config()
    except ConfigException as error:
        raise FailedPrecondition(
            f"A cluster is named by a kubeconfig (KUBECONFIG, or ~/.kube/config). Received: {error}"
        ) from None
    api = client.ApiClient()
    return Cluster(client.BatchV1Api(api), client.CoreV1Api(api), namespace)


@dataclass(frozen=True)
class Cluster:
    """Jobs, schedules and pods of one namespace.

    Everything raises Unavailable when the API server is out of reach, PermissionDenied when it says no.
    """

    batch: Any
    core: Any
    namespace: str

    def template(self) -> Manifest:
        """The CronJob that deploy/ puts there. Raises NotFound."""
        return self.schedule(TEMPLATE)

    def start(self, job: Manifest) -> None:
        """Create it. Raises AlreadyExists."""
        self._ask(self.batch.create_namespaced_job, body=job)

    def job(self, name: str) -> Manifest:
        """Raises NotFound."""
        found: Manifest = self._ask(self.batch.read_namespaced_job, name)
        return found

    def jobs(self) -> list[Manifest]:
        """Those made after the template, oldest first."""
        found = self._ask(self.batch.list_namespaced_job, label_selector=OURS)["items"]
        return sorted(found, key=lambda job: str(job["metadata"].get("creationTimestamp", "")))

    def cancel(self, name: str) -> None:
        """Remove a job with its pods, which are told to stop. Raises NotFound, FailedPrecondition if it is not ours."""
        check_ours(self.job(name))
        self._ask(self.batch.delete_namespaced_job, name, propagation_policy="Background")

    def pods(self, job: str) -> list[Manifest]:
        """A job's pods, oldest first: one, or more if it was tried again."""
        selector = f"batch.kubernetes.io/job-name={job}"
        found = self._ask(self.core.list_namespaced_pod, label_selector=selector)["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def lines(self, pod: str) -> Iterator[str]:
        """The pod's log from its start, `<time> <text>` a line, until its container ends.

        Raises Unavailable when the connection is lost; what has come of an unfinished line is left out.
        """
        with _errors():
            response = self.core.read_namespaced_pod_log(
                pod,
                self.namespace,
                follow=True,
                timestamps=True,
                _preload_content=False,
                _request_timeout=(_CALL_SECONDS, _SILENT_SECONDS),
            )
            try:
                yield from (line[:-1].decode(errors="replace") for line in response if line.endswith(b"\n"))
            finally:
                response.close()

    def set_schedule(self, schedule: Manifest) -> None:
        """Create it, or put it in the place of the one of its name. Raises FailedPrecondition if that is not ours."""
        try:
            self._ask(self.batch.create_namespaced_cron_job, body=schedule)
        except AlreadyExists:
            name = schedule["metadata"]["name"]
            check_ours(self.schedule(name))
            self._ask(self.batch.replace_namespaced_cron_job, name, body=schedule)

    def schedule(self, name: str) -> Manifest:
        """Raises NotFound."""
        found: Manifest = self._ask(self.batch.read_namespaced_cron_job, name)
        return found

    def schedules(self) -> list[Manifest]:
        """Those made after the template, which is none of them."""
        found = self._ask(self.batch.list_namespaced_cron_job, label_selector=OURS)["items"]
        return [schedule for schedule in found if schedule["metadata"]["name"] != TEMPLATE]

    def remove_schedule(self, name: str) -> None:
        """A job that it has started goes, too. Raises NotFound, FailedPrecondition if it is not ours."""
        check_ours(self.schedule(name))
        self._ask(self.batch.delete_namespaced_cron_job, name, propagation_policy="Background")

    def _ask(self, call: Any, *name: str, **options: Any) -> Any:
        with _errors():
            answer = call(
                *name, namespace=self.namespace, _preload_content=False, _request_timeout=_CALL_SECONDS, **options
            )
            return json.loads(answer.data)


@contextmanager
def _errors() -> Iterator[None]:
    """The client's errors in our words."""
    try:
        yield
    except ApiException as error:
        said = _message(error)
        raise _ERRORS.get(error.status, Unavailable)(f"The cluster says: {said}") from None
    except HTTPError as error:
        raise Unavailable(f"The cluster's API server can be reached. Received: {error}") from None


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
