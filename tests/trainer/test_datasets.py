import hashlib
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from plugins.contract import Array, Dataset, Source, Url
from services.core.errors import InvalidArgument, Unavailable
from services.store import open_objects
from services.trainer.sources.datasets import DatasetFetcher, content_sha256
from tests.s3_server import s3_server
from tests.trainer.registries import ARRAYS, SHA256, TEXT, fetcher, read_text, serving, text_dataset


@pytest.fixture
def bucket(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in a real S3 server."""
    with s3_server(tmp_path_factory.mktemp("weed")) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="data")
        yield "s3://data/sets"


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


def test_a_file_of_ones_own_is_found_from_here_and_from_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "diary.txt").write_bytes(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("diary.txt", "~/diary.txt"):
        arrays = fetcher(tmp_path / "cache").fetch(Dataset(name, None, read_text, ()))
        assert arrays["text"].tobytes() == TEXT
    with pytest.raises(Unavailable):  # what promises a hash is never taken from the folder one happens to be in
        fetcher(tmp_path / "cache").fetch(Dataset("diary.txt", SHA256, read_text, ()))


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
