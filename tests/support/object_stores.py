"""Both object stores for the tests of what they promise, each with a way past it to spoil what it keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import obstore
import pytest

from millrace.artifacts.local import LocalObjects
from millrace.artifacts.s3 import S3Objects
from millrace.ports.objects import ObjectStore
from tests.support.s3_server import Bucket, s3_server

STORES = ["local", pytest.param("s3", marks=pytest.mark.service("s3"))]


class Kept(Protocol):
    """An empty object store and what lies beneath it."""

    store: ObjectStore

    def replace(self, key: str, content: bytes) -> None:
        """Put something else in an object's place."""

    def keys(self) -> list[str]:
        """Of all objects, in order."""

    def unfinished(self) -> int:
        """How many pieces there are that belong to no object."""

    def close(self) -> None: ...


class KeptInFolder:
    def __init__(self, folder: Path) -> None:
        self.store = LocalObjects(folder)

    def replace(self, key: str, content: bytes) -> None:
        (self.store.folder / "objects" / key).write_bytes(content)

    def keys(self) -> list[str]:
        below = self.store.folder / "objects"
        return sorted(str(path.relative_to(below)) for path in below.rglob("*") if path.is_file())

    def unfinished(self) -> int:
        return sum(1 for _ in (self.store.folder / "incoming").rglob("*"))

    def close(self) -> None:
        self.store.close()


class KeptInBucket:
    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.store = S3Objects(bucket.place)
        self._before = s3_server().stored_parts()

    def replace(self, key: str, content: bytes) -> None:
        obstore.put(self.bucket.at_the_source(), self.bucket.place.name_of(key), content)

    def keys(self) -> list[str]:
        return self.bucket.objects()

    def unfinished(self) -> int:
        """For a test that keeps no object of several parts."""
        return s3_server().stored_parts() - self._before - len(self.keys())

    def close(self) -> None:
        self.store.close()


@contextmanager
def kept(name: str, folder: Path) -> Iterator[Kept]:
    """The store of that name; `folder` is one that is not there yet."""
    found: Kept = KeptInFolder(folder) if name == "local" else KeptInBucket(s3_server().bucket())
    try:
        yield found
    finally:
        found.close()
