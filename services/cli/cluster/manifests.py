"""What the cluster is told: a Job or a CronJob after its CronJob `trainer`. Pure functions on values.

deploy/base/trainer.yaml and its overlay are the one place that says with which image, resources, secrets, store and
datasets training runs in a cluster; only the name, the words after `tensorgate` and the time are put in here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.cli.console import EXIT_REJECTED
from services.core.errors import FailedPrecondition, InvalidArgument

TEMPLATE = "trainer"
OURS = "app.kubernetes.io/name=trainer"  # selects what was made after the template, which has this label
_MOST_NAME = 48  # characters of a CronJob's name: its jobs' names have 11 more, and their pods' as many as 4
_MOST_WORKERS = 999
_WORKERS_PORT = 2222
_INDEX = "batch.kubernetes.io/job-completion-index"

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """What a person asks a cluster to train, in the words of `tensorgate train`."""

    plugin: str
    variant: str | None = None
    overrides: tuple[str, ...] = ()
    model: str | None = None
    label: str = ""
    force: bool = False
    if_changed: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The container's arguments; its entry point is `tensorgate`."""
        given = {"variant": self.variant, "model": self.model}
        options = [f"--{name}={value}" for name, value in given.items() if value is not None]
        flags = {"force": self.force, "if-changed": self.if_changed}
        sets = [f"--set={override}" for override in self.overrides]
        return (
            *("train", self.plugin, f"--label={self.label}", *options, *sets),
            *(f"--{name}" for name, given in flags.items() if given),
        )


def schedule_name(name: str) -> str:
    """What the CronJob of a plugin or model is called: `train-jena-climate`. Raises InvalidArgument for a long one."""
    made = "train-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if len(made) > _MOST_NAME:
        raise InvalidArgument(f"A cluster's schedule has a name of at most {_MOST_NAME} characters. Received: {made}")
    return made


def job_name(name: str, now: datetime) -> str:
    """What a job started by hand is called: the schedule's name and the time, as of a run."""
    return f"{schedule_name(name)}-{now:%m%d%H%M%S}"


def job_of(template: Manifest, name: str, words: Sequence[str]) -> dict[str, Any]:
    """A Job as the CronJob `template` would start it, with other words."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": dict(template["metadata"]["labels"])},
        "spec": _with_words(template["spec"]["jobTemplate"]["spec"], words),
    }


def schedule_of(template: Manifest, name: str, words: Sequence[str], cron: str) -> dict[str, Any]:
    """A CronJob like `template`, awake, with another time and other words."""
    spec = deepcopy(dict(template["spec"]))
    spec["schedule"], spec["suspend"] = cron, False
    labels = dict(template["metadata"]["labels"])
    spec["jobTemplate"] = {
        "metadata": {"labels": labels},
        "spec": _with_words(template["spec"]["jobTemplate"]["spec"], words),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def with_workers(template: Manifest, workers: int) -> Manifest:
    """The same CronJob, whose jobs are of so many pods that train together; the first of them is the one to be heard.

    Each learns who the others are from TF_CONFIG (TensorFlow's `TFConfigClusterResolver`): a pod of an Indexed Job is
    called `<job>-<index>`, and found by that name below the Service that is called as the template is. None is tried
    again, as those that are left could not go on with it. Raises InvalidArgument.
    """
    if not 1 <= workers <= _MOST_WORKERS:
        raise InvalidArgument(f"A job has 1 to {_MOST_WORKERS} workers. Received: {workers}")
    if workers == 1:
        return template
    made = deepcopy(dict(template))
    job = made["spec"]["jobTemplate"]["spec"]
    job |= {"completionMode": "Indexed", "completions": workers, "parallelism": workers, "backoffLimit": 0}
    pod = job["template"]["spec"]
    pod["subdomain"] = TEMPLATE
    pod["containers"][0]["env"] += [
        _of_label("JOB", "batch.kubernetes.io/job-name"),
        _of_label("WORKER", _INDEX),
        {"name": "TF_CONFIG", "value": tf_config(workers)},
    ]
    return made


def tf_config(workers: int) -> str:
    """The same for each worker, until Kubernetes puts the variables JOB and WORKER in."""
    hosts = json.dumps([f"$(JOB)-{number}.{TEMPLATE}:{_WORKERS_PORT}" for number in range(workers)])
    return f'{{"cluster": {{"worker": {hosts}}}, "task": {{"type": "worker", "index": $(WORKER)}}}}'


def _of_label(variable: str, label: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}


def words_of(schedule: Manifest) -> list[str]:
    """What a CronJob's container is told."""
    (container,) = schedule["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


def check_ours(made: Manifest) -> None:
    """Only what was made after the template is changed or removed. Raises FailedPrecondition."""
    label, _, value = OURS.partition("=")
    name, labels = made["metadata"]["name"], made["metadata"].get("labels") or {}
    if labels.get(label) != value:
        raise FailedPrecondition(
            f"Jobs and schedules of Tensorgate's have the label {OURS}. Received: {name} without it"
        )


def _with_words(job: Manifest, words: Sequence[str]) -> dict[str, Any]:
    made = deepcopy(dict(job))
    made["template"]["spec"]["containers"][0]["args"] = list(words)
    return made


class JobState(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"  # by the gate
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Nothing more will happen."""
        return self in (JobState.DONE, JobState.REFUSED, JobState.FAILED)


def state_of(job: Manifest) -> JobState:
    """From the Job's conditions (Kubernetes' API reference, JobStatus)."""
    status = job.get("status", {})
    for condition in status.get("conditions") or ():
        if condition["status"] == "True" and condition["type"] == "Complete":
            return JobState.DONE
        if condition["status"] == "True" and condition["type"] == "Failed":
            by_gate = f"exit code {EXIT_REJECTED} " in f"{condition.get('message', '')} "
            return JobState.REFUSED if by_gate else JobState.FAILED
    return JobState.RUNNING if status.get("active") else JobState.WAITING


def why(job: Manifest) -> str:
    """What the cluster says of a job that failed; empty for others."""
    conditions = job.get("status", {}).get("conditions") or ()
    return next((c.get("message", "") for c in conditions if c["type"] == "Failed"), "")


def is_heard(pod: Manifest) -> bool:
    """Does it tell of the run? Of several workers the first does."""
    return str((pod["metadata"].get("labels") or {}).get(_INDEX, 0)) == "0"


def has_log(pod: Manifest) -> bool:
    """Has its container been started?"""
    return pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed")


def waits_for(pod: Manifest) -> str:
    """What keeps a pod from starting, as the cluster says it: `Unschedulable: 0/3 nodes ...`; empty if nothing."""
    status = pod.get("status", {})
    for container in status.get("containerStatuses") or ():
        if waiting := container.get("state", {}).get("waiting"):
            return _said(waiting)
    conditions = status.get("conditions") or ()
    return next((_said(c) for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"), "")


def _said(of: Manifest) -> str:
    return ": ".join(filter(None, (of.get("reason"), of.get("message"))))
