"""Stores out of reach, with the wrong credentials, or behind a network that loses answers."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from services.core.errors import InvalidArgument, PermissionDenied, Unavailable
from services.store import open_objects, open_store
from services.store.objects import no_progress
from tests.s3_server import BUCKET


def test_a_store_out_of_reach_says_so_and_names_itself(
    monkeypatch: pytest.MonkeyPatch, s3_environment: Mapping[str, str], folder: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="The store s3://models/x cannot be reached"):
        open_store("s3://models/x").models()
    with pytest.raises(Unavailable, match="The store s3://models/x cannot be reached"):
        open_store("s3://models/x").publish("m", folder)


def test_a_bucket_that_is_not_there_is_named(s3_environment: Mapping[str, str]) -> None:
    with pytest.raises(Unavailable, match="The store s3://nothere cannot be used: NoSuchBucket"):
        open_store("s3://nothere").models()


def test_a_transfer_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, s3_environment: Mapping[str, str], folder: Path, tmp_path: Path
) -> None:
    path = folder / "saved_model.pb"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(PermissionDenied):
        open_objects("s3://models").upload(path, "key", no_progress)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot be reached"):
        open_objects("s3://models").upload(path, "key", no_progress)
    with pytest.raises(Unavailable, match="cannot be reached"):
        open_objects("s3://models").download("key", tmp_path / "copy")


def test_wrong_credentials_are_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, s3_environment: Mapping[str, str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(PermissionDenied, match="refuses these credentials") as caught:
        open_store("s3://models/x").models()
    assert "not-the-secret" not in str(caught.value)


def test_missing_credentials_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, s3_environment: Mapping[str, str], tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PermissionDenied, match="needs credentials"):
        open_store("s3://models/x").models()


@pytest.mark.parametrize("endpoint", ["localhost:8333", "not a url"])
def test_an_endpoint_that_is_no_address_is_named(
    monkeypatch: pytest.MonkeyPatch, s3_environment: Mapping[str, str], endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(InvalidArgument, match=endpoint):
        open_store("s3://models/x")


@pytest.mark.parametrize("address", ["http://host/bucket", "gs://bucket", "s3:///prefix"])
def test_an_address_of_no_store_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgument, match="Received"):
        open_store(address)


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Unavailable, match=r"The store .*file cannot be used: Not a directory"):
        open_store(str(tmp_path / "file")).publish("m", folder)


def test_others_may_read_what_was_published_into_a_folder(tmp_path: Path, folder: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.publish("m", folder)
    store.move_label("m", "stable", 1)
    (tmp_path / "plain").touch()
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store" / "m").rglob("*") if path.is_file()}
    assert modes == {usual}


def test_boto3_is_not_loaded_for_a_folder() -> None:
    program = (
        "import sys; from services.store import open_store; open_store('/tmp/x'); sys.exit('boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


class _LosingAnswers:
    """A network path to a server, on which the first answer to a PUT of one object is lost."""

    def __init__(self, endpoint: str, victim: str) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self._server = (host, int(port))
        self._victim = victim.encode()
        self.lost: list[bytes] = []

    def accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener is closed: the end
            while True:
                client, _ = listener.accept()
                upstream, fatal = socket.create_connection(self._server), Event()
                Thread(target=self._up, args=(client, upstream, fatal), daemon=True).start()
                Thread(target=self._down, args=(client, upstream, fatal), daemon=True).start()

    def _up(self, client: socket.socket, upstream: socket.socket, fatal: Event) -> None:
        with upstream, suppress(OSError):
            while data := client.recv(1 << 16):
                if data.startswith(b"PUT ") and self._victim in data.split(b"\r\n", 1)[0] and not self.lost:
                    fatal.set()
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_RDWR)

    def _down(self, client: socket.socket, upstream: socket.socket, fatal: Event) -> None:
        with client, suppress(OSError):
            while data := upstream.recv(1 << 16):
                if fatal.is_set() and not data.startswith(b"HTTP/1.1 100"):
                    self.lost.append(data)
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def _losing_answers(to: str, puts_of: str) -> Iterator[str]:
    """The address of such a path."""
    path = _LosingAnswers(to, puts_of)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = Thread(target=path.accept, args=(listener,))
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
    assert path.lost, "nothing was lost"


@pytest.mark.parametrize("victim", ["/.claim", "/manifest.json", "/.labels/m.json"])
def test_a_write_whose_answer_was_lost_is_known_to_have_happened(
    monkeypatch: pytest.MonkeyPatch, s3_environment: Mapping[str, str], folder: Path, victim: str
) -> None:
    store_url = f"s3://{BUCKET}/lost{victim.replace('/', '-')}"
    with _losing_answers(s3_environment["AWS_ENDPOINT_URL"], victim) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = open_store(store_url)
        assert store.publish("m", folder) == 1
        store.move_label("m", "stable", 1, expected=None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_environment["AWS_ENDPOINT_URL"])
    assert open_store(store_url).versions("m") == [1]
    assert open_store(store_url).labels("m") == {"stable": 1}
