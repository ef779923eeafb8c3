"""Load from clients in C, so that the client is not what is measured: wrk for HTTP/1.1, h2load for gRPC.

Both are Debian's: apt-get install wrk nghttp2-client.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from tempfile import NamedTemporaryFile

_PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}
_LUA = """
wrk.method, wrk.body = %s, %s
for name, value in pairs({%s}) do wrk.headers[name] = value end
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('{"requests": %%d, "microseconds": %%d, "failed": %%d, "p50": %%f, "p99": %%f}\\n',
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Ask:
    """One HTTP request."""

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Load:
    """What a client saw: requests answered, seconds it took, and milliseconds a request; nan where it does not say."""

    requests: int
    seconds: float
    failed: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def check_installed(*programs: str) -> None:
    """End the process, with the rule, where one is missing."""
    missing = [_PACKAGES[program] for program in programs if which(program) is None]
    if missing:
        sys.exit(f"The load comes from {', '.join(programs)}: apt-get install {' '.join(missing)}")


def http_load(port: int, ask: Ask, connections: int, seconds: float) -> Load:
    """Each connection is kept and has one request under way."""
    headers = ", ".join(f"[{_quoted(name)}] = {_quoted(value)}" for name, value in ask.headers.items())
    with NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA % (_quoted(ask.method), _quoted(ask.body.decode("latin-1")), headers))
        script.flush()
        options = (f"-t1 -c{connections} -d{seconds:g}s --timeout 10s -s {script.name}").split()
        told = _told("wrk", *options, f"http://127.0.0.1:{port}{ask.path}")
    found = json.loads(told.splitlines()[-1])
    return Load(
        found["requests"], found["microseconds"] / 1e6, found["failed"], found["p50"] / 1000, found["p99"] / 1000
    )


def grpc_load(port: int, method: str, message: bytes, in_flight: int, seconds: float) -> Load:
    """Calls of `method`, as `/package.Service/Method`, on one connection. It does not see a call's status: ask the
    server for its own count.
    """
    with NamedTemporaryFile(suffix=".bin") as framed:
        framed.write(b"\0" + len(message).to_bytes(4, "big") + message)
        framed.flush()
        options = f"-D {seconds:g} -c 1 -m {in_flight} -t 1 --data={framed.name}".split()
        headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
        told = _told("h2load", *options, *headers, f"http://127.0.0.1:{port}{method}")
    found = re.search(r"(\d+) succeeded, (\d+) failed", told)
    assert found is not None, told
    return Load(int(found[1]), seconds, int(found[2]), float("nan"), float("nan"))


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path("/")).stdout


def _quoted(text: str) -> str:
    """A string of Lua's with any bytes."""
    return '"' + "".join(f"\\{ord(character):03d}" for character in text) + '"'
