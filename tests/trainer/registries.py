"""A small text, the datasets that it makes, and registries on loopback that have packages with it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from plugins.contract import Array, Dataset, PypiPackage, Source
from services.trainer.sources.datasets import DatasetFetcher, content_sha256

TEXT = b"the eternal recurrence"
ARRAYS = {"text": np.frombuffer(TEXT, np.uint8)}
SHA256 = content_sha256(ARRAYS)


def read_text(file: Path) -> Mapping[str, Array]:
    return {"text": np.frombuffer(file.read_bytes(), np.uint8)}


def read_packed_text(folder: Path) -> Mapping[str, Array]:
    return read_text(next(folder.rglob("text.txt")))


def text_dataset(sources: Sequence[Source] = (), sha256: str | None = SHA256) -> Dataset:
    return Dataset("text.txt", sha256, read_text, sources)


def fetcher(cache: Path, mirror: str = "") -> DatasetFetcher:
    return DatasetFetcher(cache, mirror, lambda _: None)


@contextmanager
def serving(pages: Mapping[str, bytes], page_seconds: float = 0) -> Iterator[str]:
    """A web server with these pages, each of which takes it so long; its address."""

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            threading.Event().wait(page_seconds)
            page = pages.get(self.path)
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Length", str(len(page or b"")))
            self.send_header("Content-Type", "application/json" if (page or b"").startswith(b"{") else "text/html")
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wheel(package: PypiPackage, files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    about = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    named = f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n"
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{about}/METADATA", named)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return packed.getvalue()


CARRIER = PypiPackage("carrier", "1.0")


def pip_pages(package: PypiPackage = CARRIER, files: Mapping[str, bytes] | None = None) -> Mapping[str, bytes]:
    """A registry for pip with one package."""
    name = f"{package.name.replace('-', '_')}-{package.version}-py3-none-any.whl"
    link = f'<a href="/{name}">{name}</a>'.encode()
    return {f"/{package.name}/": link, f"/{name}": wheel(package, files or {"carrier/text.txt": TEXT})}


def tarball(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def npm_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry for npm with one package, whose scripts must not run."""
    manifest = {"name": "carrier", "version": "1.0.0", "scripts": {"install": "exit 1", "prepack": "exit 1"}}
    packed = tarball({"package/package.json": json.dumps(manifest).encode(), "package/data/text.txt": TEXT})
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
    pages: dict[str, bytes] = {"/carrier.tgz": packed}
    with serving(pages) as address:
        dist = {"tarball": f"{address}/carrier.tgz", "integrity": integrity}
        versions = {"1.0.0": manifest | {"dist": dist}}
        pages["/carrier"] = json.dumps({"name": "carrier", "versions": versions}).encode()
        monkeypatch.setenv("npm_config_registry", address)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
        yield
