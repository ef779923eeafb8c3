"""An S3 bucket as a store. The only importer of boto3, which reads AWS_* variables and profiles by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from services.core.errors import Aborted, InvalidArgument, NotFound, PermissionDenied, TensorgateError, Unavailable
from services.store.objects import Listed, Progress, Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

_MISSING = ("NoSuchKey", "404", "NotFound")
# 409 is S3's answer to two conditional writes at the same moment.
_LOST_RACE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_REFUSED = ("AccessDenied", "403", "SignatureDoesNotMatch", "InvalidAccessKeyId")
_MOST_KEYS_A_DELETE = 1000
# Versions upload several files at once already; one file's parts may still use a few threads of their own.
_TRANSFER = TransferConfig(max_concurrency=4)
_CLIENT = Config(
    retries={"mode": "standard", "max_attempts": 4}, connect_timeout=3, read_timeout=60, max_pool_connections=32
)


def open_client() -> S3Client:
    """A client for the account and endpoint that the environment names."""
    try:
        return boto3.session.Session().client("s3", config=_CLIENT)
    except ValueError as error:
        raise InvalidArgument(f"The environment names no S3 endpoint that can be used. Received: {error}") from error


class S3Store:
    """Objects below a prefix of a bucket. Conditional writes are S3's own If-None-Match and If-Match."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.url = f"s3://{bucket}/{self._prefix}".rstrip("/")

    def get(self, key: str) -> Stored | None:
        """GetObject."""
        try:
            with self._translated(key):
                reply = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                return Stored(reply["Body"].read(), reply["ETag"])
        except NotFound:
            return None

    def put(self, key: str, data: bytes, expected: str | None) -> None:
        """PutObject with If-None-Match: * or If-Match.

        boto3 tries again when an answer is lost, and then loses against its own first try: what is there decides.
        """
        name = self._prefix + key
        try:
            with self._translated(key):
                if expected is None:
                    self._client.put_object(Bucket=self._bucket, Key=name, Body=data, IfNoneMatch="*")
                else:
                    self._client.put_object(Bucket=self._bucket, Key=name, Body=data, IfMatch=expected)
        except (Aborted, NotFound):
            stored = self.get(key)
            if stored is None or stored.data != data:
                raise Aborted(f"{key} was written by someone else first") from None

    def upload(self, path: Path, key: str, progress: Progress) -> None:
        """PutObject, or a multipart upload for a large file."""
        with self._translated(key):
            self._client.upload_file(str(path), self._bucket, self._prefix + key, Callback=progress, Config=_TRANSFER)

    def download(self, key: str, path: Path) -> None:
        """GetObject, in ranges for a large one."""
        with self._translated(key):
            self._client.download_file(self._bucket, self._prefix + key, str(path), Config=_TRANSFER)

    def list(self, prefix: str) -> Iterator[Listed]:
        """ListObjectsV2, page by page."""
        for entry in self._entries(prefix):
            yield Listed(entry["Key"].removeprefix(self._prefix), entry["Size"], entry["LastModified"])

    def tags(self, prefix: str) -> Iterator[tuple[str, str]]:
        """ListObjectsV2, which tells them."""
        for entry in self._entries(prefix):
            yield entry["Key"].removeprefix(self._prefix), entry["ETag"]

    def _entries(self, prefix: str) -> Iterator[ObjectTypeDef]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with self._translated(prefix):
            for page in pages:
                yield from page.get("Contents", ())

    def folders(self, prefix: str) -> Iterator[str]:
        """ListObjectsV2 with a delimiter."""
        whole = self._prefix + prefix
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=whole, Delimiter="/")
        with self._translated(prefix):
            for page in pages:
                for entry in page.get("CommonPrefixes", ()):
                    yield entry["Prefix"].removeprefix(whole).rstrip("/")

    def delete(self, keys: Iterable[str]) -> None:
        """DeleteObjects, a thousand at a time."""
        names = [self._prefix + key for key in keys]
        with self._translated("delete"):
            for start in range(0, len(names), _MOST_KEYS_A_DELETE):
                objects = [{"Key": name} for name in names[start : start + _MOST_KEYS_A_DELETE]]
                self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})  # type: ignore[typeddict-item]  # a list of plain dicts is what boto3 documents

    def sweep(self, before: datetime) -> None:
        """AbortMultipartUpload for those begun before: nobody sees their parts, and they cost."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._prefix)
        with self._translated("sweep"):
            for page in pages:
                for begun in page.get("Uploads", ()):
                    if begun["Initiated"] < before:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=begun["Key"], UploadId=begun["UploadId"]
                        )

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._error_of(error, key) from error
        except NoCredentialsError as error:
            raise PermissionDenied(
                f"The store {self.url} needs credentials, as boto3 finds them. None found"
            ) from error
        except (BotoCoreError, Boto3Error) as error:
            if isinstance(error.__context__, ClientError):  # a transfer's error hides the one that says why
                raise self._error_of(error.__context__, key) from error
            raise Unavailable(f"The store {self.url} cannot be reached: {type(error).__name__}") from error

    def _error_of(self, error: ClientError, key: str) -> TensorgateError:
        code = error.response["Error"].get("Code", "")
        if code in _MISSING:
            return NotFound(f"{self.url} has no object {key}")
        if code in _LOST_RACE:
            return Aborted(f"{key} was written by someone else first")
        if code in _REFUSED:
            return PermissionDenied(f"The store {self.url} refuses these credentials: {code}")
        return Unavailable(f"The store {self.url} cannot be used: {code}")
