"""From an address to a store."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from services.core.errors import InvalidArgument
from services.store.local import LocalStore
from services.store.objects import Objects
from services.store.versions import Store

_S3 = "s3://"


def open_objects(url: str) -> Objects:
    """`s3://bucket/prefix`, or a folder. boto3 is loaded only when S3 is asked for: it costs half a second."""
    if not url.startswith(_S3):
        if "://" in url:
            raise InvalidArgument(f"A store is a folder or s3://bucket/prefix. Received: {url!r}")
        return LocalStore(Path(url))
    address = urlsplit(url)
    if not address.netloc:
        raise InvalidArgument(f"An S3 store names its bucket: s3://bucket/prefix. Received: {url!r}")
    s3 = import_module("services.store.s3")
    objects: Objects = s3.S3Store(s3.open_client(), address.netloc, address.path)
    return objects


def open_store(url: str) -> Store:
    """The store at `url`."""
    return Store(open_objects(url))
