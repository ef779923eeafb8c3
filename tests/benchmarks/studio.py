"""Pictures a second through gateway and model server: `python -m tests.benchmarks.studio`, with the models that
TENSORGATE_HOME holds, each asked for what its card gives as an example.

Client (wrk) and servers share this machine. Which weights a network has does not matter to its speed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import orjson

from tests.benchmarks.load import Ask, check_installed, http_load
from tests.benchmarks.page import table, write_section
from tests.e2e.conftest import Home, start, stop
from tests.polling import until

MODELS = ("digits_vae", "faces_vae", "frogs_gan")
ACCEPT = {"generate": "image/png", "sheet": "image/png", "interpolate": "image/gif"}
CONNECTIONS, SECONDS = (1, 16), 4
HEAD = ("model", "request", "in flight", "req/s", "p50, ms", "p99, ms", "failed")
NOTE = """
Networks that draw small pictures, asked as their cards' examples ask: a picture, many on a sheet, an animation of one
that becomes another, as PNG or GIF; through gateway and embedded model server, which share the machine with the client.
"""


def asks(address: str, model: str) -> Iterator[tuple[str, Ask]]:
    """What is asked of a model, in words and as a request."""
    signatures = httpx.get(f"{address}/api/models/{model}").json()["card"]["signatures"]
    for name, accept in ACCEPT.items():
        example = signatures[name]["example"]
        headers = {"Content-Type": "application/json", "Accept": accept}
        said = ", ".join(f"{key} {value}" for key, value in example.items() if not isinstance(value, list))
        body = orjson.dumps({"instance": example, "signature": name})
        yield f"{name} {said}".strip(), Ask(f"/api/models/{model}/generate-image", body, headers=headers)


def rows(address: str) -> Iterator[tuple[str, ...]]:
    """A line of the table each."""
    port = urlsplit(address).port
    assert port is not None
    for model in MODELS:
        for words, ask in asks(address, model):
            httpx.post(address + ask.path, content=ask.body, headers=ask.headers, timeout=60).raise_for_status()
            for connections in CONNECTIONS:
                load = http_load(port, ask, connections, SECONDS)
                told = f"{load.rate:,.0f}", f"{load.p50:.1f}", f"{load.p99:.1f}", str(load.failed)
                yield model, words, str(connections), *told


def main() -> None:
    """Serve, ask, write."""
    check_installed("wrk")
    served = start(Home(Path(os.environ.get("TENSORGATE_HOME", ".tensorgate"))))
    try:
        until(lambda: served.models().keys() >= set(MODELS) and all(map(served.models().get, MODELS)), seconds=120)
        found = []
        for row in rows(served.http):
            print(*row, sep="  ", flush=True)
            found.append(row)
    finally:
        stop(served)
    write_section("Pictures", f"{NOTE}\n{table(HEAD, *found)}")


if __name__ == "__main__":
    main()
