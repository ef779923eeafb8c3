"""The recorded exchanges against a server at an address: `python -m tests.conformance HOST:PORT`.

Without an address it says how to start TensorFlow Serving so that it has the models. Exit code 1 if a code or a value
differs; texts that differ are shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.replay import Target, cases, compared
from tests.model_server.server_process import conformance


def _how_to(corpus: Path, group: str) -> str:
    """A command that starts a server as the group was recorded."""
    described = json.loads((corpus / "groups.json").read_text())[group]
    ports = {"--port=<PORT>": "--port=8500", "--rest_api_port=<REST_PORT>": "--rest_api_port=8501"}
    flags = " ".join(ports.get(flag, flag) for flag in described["flags"])
    files = "".join(
        f"mkdir -p /tmp/conf && cat > /tmp/conf/{name} <<'END'\n{described[name]}END\n"
        for name in ("models.config", "monitoring.config")
        if described[name]
    )
    return (
        f"{files}docker run --rm --publish 8500:8500 --publish 8501:8501 --volume {corpus}/models:/models "
        f"--volume /tmp/conf:/conf --entrypoint tensorflow_model_server tensorflow/serving:2.18.1 {flags}"
    )


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.conformance", description=__doc__)
    parser.add_argument("address", nargs="?", default="", help="host:port of its gRPC")
    parser.add_argument("--rest", type=int, help="its REST port; that of gRPC and one, unless said")
    parser.add_argument("--group", default="main", help="the recorded group whose flags and models it has")
    parser.add_argument("--models", default="/models", help="where it finds the corpus's models")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Replay one group; the exit code."""
    asked, corpus = _parsed(arguments), conformance()
    if corpus is None:
        print("TENSORGATE_CONFORMANCE does not name the folder of the recorded exchanges")
        return 2
    if not asked.address:
        print(f"Name a server that was started so, by TFS=host:port:\n\n{_how_to(corpus, asked.group)}")
        return 2
    host, _, port = asked.address.rpartition(":")
    target = Target(host, int(port), asked.rest or int(port) + 1, asked.models.rstrip("/"))
    differences = compared(corpus, asked.group, target)
    for case, lines in sorted(differences.items()):
        print(f"{case}: {'; '.join(lines)}")
    fatal = sum(any(line.startswith("FATAL") for line in lines) for lines in differences.values())
    count = sum(len(cases(corpus, door, asked.group)) for door in ("grpc", "rest"))
    words = len(differences) - fatal
    print(f"{asked.group}: {count} exchanges, {fatal} with another code or value, {words} in words only")
    return 1 if fatal else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
