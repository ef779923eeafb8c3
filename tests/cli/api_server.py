"""A tiny API server of Kubernetes on loopback: it keeps Jobs and CronJobs, and its pods say what they are told to.

Paths, lists, Status objects and chunked logs as in Kubernetes' API reference; the official client talks to it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

NAMESPACE = "tensorgate"
_BATCH = ["apis", "batch", "v1", "namespaces", NAMESPACE]
_CORE = ["api", "v1", "namespaces", NAMESPACE]
_CODES = {404: "NotFound", 409: "AlreadyExists", 403: "Forbidden"}


@dataclass(frozen=True)
class PodPlan:
    """What one pod of a job does: waits so often when it is looked at, says its lines, ends with its code.

    `cuts` are numbers of lines after which a connection that reads the log is lost, one connection each.
    """

    lines: Sequence[str]
    code: int = 0
    waiting: int = 0
    cuts: Sequence[int] = ()
    never_ends: bool = False


@dataclass
class ApiServer:
    """Its state: objects by kind and name, and the plans of the pods that each new job will have, first one first."""

    plans: list[PodPlan] = field(default_factory=list)
    forbidden: bool = False
    objects: dict[str, dict[str, Any]] = field(default_factory=lambda: {"jobs": {}, "cronjobs": {}})
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    reading: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, job: str) -> None:
        """As the controller does: the job's next pod."""
        number = sum(1 for pod in self.pods.values() if pod["job"] == job)
        name = f"{job}-{number}"
        self.pods[name] = {"job": job, "number": number, "plan": self.plans[number], "looks": 0, "phase": "Pending"}
        self.objects["jobs"][job]["status"] = {"active": 1}

    def end(self, name: str) -> None:
        """As the kubelet and the controller do when a container has ended: once."""
        pod = self.pods[name]
        if pod["phase"] != "Running":
            return
        code = pod["plan"].code
        pod["phase"] = "Failed" if code else "Succeeded"
        job = self.objects["jobs"].get(pod["job"])
        if job is None:
            return
        if code not in (0, 3) and pod["number"] + 1 < len(self.plans):
            self.begin(pod["job"])
        elif code:
            rule = " matching FailJob rule at index 0" if code == 3 else ""
            message = f"Container trainer for pod {NAMESPACE}/{name} failed with exit code {code}{rule}"
            job["status"] = {"conditions": [{"type": "Failed", "status": "True", "message": message}]}
        else:
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    def shown(self, name: str) -> dict[str, Any]:
        """A pod, which is a step further on each time it is looked at."""
        pod = self.pods[name]
        pod["looks"] += 1
        waits = pod["looks"] <= pod["plan"].waiting
        if pod["phase"] == "Pending" and not waits:
            pod["phase"] = "Running"
        status: dict[str, Any] = {"phase": pod["phase"]}
        if waits:
            pull = {"reason": "ImagePullBackOff", "message": "no such image"}
            status["containerStatuses"] = [{"name": "trainer", "state": {"waiting": pull}}]
        stamp = f"2026-01-01T00:00:{pod['number']:02}Z"
        labels = {}
        if self.objects["jobs"].get(pod["job"], {}).get("spec", {}).get("completionMode") == "Indexed":
            labels["batch.kubernetes.io/job-completion-index"] = str(pod["number"])
        return {"metadata": {"name": name, "creationTimestamp": stamp, "labels": labels}, "status": status}


@contextmanager
def serving(server: ApiServer, folder: Path) -> Iterator[Path]:
    """Serve; gives the kubeconfig that leads there."""

    class Handler(_Handler):
        state = server

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))  # seconds until it sees that it shall end
        thread.start()
        try:
            yield _kubeconfig(f"http://127.0.0.1:{http.server_port}", folder)
        finally:
            server.closing.set()
            http.shutdown()
            thread.join()


def _kubeconfig(address: str, folder: Path) -> Path:
    file = folder / "kubeconfig"
    named = {"cluster": "here", "user": "me", "namespace": NAMESPACE}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": named}],
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    file.write_text(yaml.safe_dump(content))
    return file


class _Handler(BaseHTTPRequestHandler):
    state: ApiServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, query = self._path()
        with self.state.lock:
            if self.state.forbidden:
                self._status(403, "you may not look at that")
            elif path[:5] == _BATCH:
                self._objects(path[5:], query)
            elif path[:4] == _CORE and path[4:] == ["pods"]:
                job = query["labelSelector"][0].removeprefix("batch.kubernetes.io/job-name=")
                # The newest first: no order is promised.
                names = [name for name, pod in self.state.pods.items() if pod["job"] == job]
                self._answer(200, {"items": [self.state.shown(name) for name in reversed(names)]})
            else:
                name = path[5]
                assert path == [*_CORE, "pods", name, "log"] and query["timestamps"] == query["follow"] == ["true"]
        if path[-1] == "log":
            self._log(path[5])

    def do_POST(self) -> None:
        (*_, kind), _ = self._path()
        made = self._body()
        name = made["metadata"]["name"]
        with self.state.lock:
            if name in self.state.objects[kind]:
                self._status(409, f'{kind} "{name}" already exists')
                return
            made["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{len(self.state.objects[kind]):02}Z"
            self.state.objects[kind][name] = made
            if kind == "jobs":
                for _ in range(made["spec"].get("completions", 1)):
                    self.state.begin(name)
        self._answer(201, made)

    def do_PUT(self) -> None:
        (*_, kind, name), _ = self._path()
        self.state.objects[kind][name] = self._body()
        self._answer(200, self.state.objects[kind][name])

    def do_DELETE(self) -> None:
        (*_, kind, name), _ = self._path()
        self._body()
        with self.state.lock:
            if self.state.objects[kind].pop(name, None) is None:
                self._status(404, f'{kind} "{name}" not found')
            else:
                self._answer(200, {"kind": "Status", "status": "Success"})

    def _objects(self, path: list[str], query: dict[str, list[str]]) -> None:
        kind = self.state.objects[path[0]]
        if len(path) == 1:
            (label, _, value) = query["labelSelector"][0].partition("=")
            items = [each for each in kind.values() if each["metadata"]["labels"].get(label) == value]
            self._answer(200, {"items": items})
        elif path[1] in kind:
            self._answer(200, kind[path[1]])
        else:
            self._status(404, f'{path[0]} "{path[1]}" not found')

    def _log(self, name: str) -> None:
        plan: PodPlan = self.state.pods[name]["plan"]
        number = self.state.cut.get(name, 0)
        cut = plan.cuts[number] if number < len(plan.cuts) else None
        self.state.cut[name] = number + 1
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for index, line in enumerate(plan.lines):
            # Two lines in each microsecond, and trailing zeros left out, as the kubelet writes them.
            text = f"2026-01-01T00:00:00.{f'{index // 2:06}{index % 2 * 5}'.rstrip('0') or '0'}Z {line}\n".encode()
            if index == cut:
                self._chunk(text[: len(text) // 2])
                self.close_connection = True
                return
            self._chunk(text)
        if plan.never_ends:
            self.state.reading.set()
            self.state.closing.wait()
        self._chunk(b"")
        with self.state.lock:
            self.state.end(name)

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def _path(self) -> tuple[list[str], dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path.strip("/").split("/"), parse_qs(parts.query)

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def _status(self, code: int, message: str) -> None:
        self._answer(code, {"kind": "Status", "status": "Failure", "reason": _CODES[code], "message": message})

    def _answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
