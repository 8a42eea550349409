"""A bucket, by calls that block. Every error that leaves here is one of `ports.objects`.

obstore's synchronous calls only: its asynchronous ones can abort the interpreter when it ends. Each call is bounded in
time, tries again included, so that a server that is silent holds up a thread for half a minute at most.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Lock
from typing import TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from millrace.artifacts.s3_place import S3Place, code_of
from millrace.core.values import Instant
from millrace.ports.objects import (
    OWNER,
    ListedObject,
    ObjectInaccessible,
    ObjectStoreError,
    ObjectUnreadable,
    StoredObject,
)

CONNECTED_WITHIN = timedelta(seconds=3)
ANSWERED_WITHIN = timedelta(seconds=30)
"""One request with all it carries, which is a part of an object at most."""
TRIES_AGAIN = 2
NO_MORE_TRIES_AFTER = timedelta(seconds=20)

PART = 8 * 1024 * 1024
MOST_PARTS = 10_000
"""As S3 allows, so larger objects need larger parts."""
PARTS_AT_ONCE = 2
LISTED_AT_ONCE = 500

REFUSED = (PermissionDeniedError, UnauthenticatedError)

T = TypeVar("T")


class Bucket:
    def __init__(self, place: S3Place, answered_within: timedelta) -> None:
        self.place = place
        self._store = S3Store(
            place.bucket,
            endpoint=place.server if place.path_style else place.address,
            virtual_hosted_style_request=not place.path_style,
            region=place.region,
            access_key_id=place.access_key_id,
            secret_access_key=place.secret_access_key,
            skip_signature=False,
            config={"session_token": place.session_token} if place.session_token else None,
            client_options={
                "allow_http": place.allow_http,
                "connect_timeout": CONNECTED_WITHIN,
                "timeout": answered_within,
            },
            retry_config={"max_retries": TRIES_AGAIN, "retry_timeout": NO_MORE_TRIES_AFTER},
        )

    def look(self) -> None:
        """Raises `ObjectStoreUnavailable` if the bucket cannot be used."""
        with self._errors():
            next(iter(obstore.list(self._store, self.place.prefix or None, chunk_size=1)), None)

    def upload(self, key: str, limit: int) -> "Upload":
        return Upload(self._store, self.place, key, limit)

    def read(self, stored: StoredObject, first: int, length: int) -> bytes:
        """A part of an object. Raises `ObjectUnreadable` if the whole has another size than when it was stored."""
        try:
            size, part = self._read(stored.key, first, length)
        except FileNotFoundError as error:
            if code_of(str(error)) == "NoSuchBucket":
                raise self.place.fault(str(error)) from None
            raise ObjectUnreadable(f"the object {stored.key} is not in the store any more") from None
        except (BaseError, OSError) as error:
            if code_of(str(error)) == "InvalidRange":
                raise self._another_size(stored, self._size(stored.key) or 0) from None
            raise self._fault_of_object(stored.key, error) from None
        if size != stored.size:
            raise self._another_size(stored, size)
        return part

    def _read(self, key: str, first: int, length: int) -> tuple[int, bytes]:
        """The size of the whole, and the part. An empty part has no range that S3 could be asked for."""
        name = self.place.name_of(key)
        if not length:
            return obstore.head(self._store, name)["size"], b""
        found = obstore.get(self._store, name, options={"range": (first, first + length)})
        return found.meta["size"], bytes(found.bytes())

    def _another_size(self, stored: StoredObject, size: int) -> ObjectUnreadable:
        return ObjectUnreadable(
            f"the object {stored.key} is damaged: it has {size} bytes and was stored with {stored.size}"
        )

    def _fault_of_object(self, key: str, error: Exception) -> ObjectStoreError:
        """What is wrong with this object alone. Raises `ObjectStoreUnavailable` if it is the bucket."""
        if not isinstance(error, REFUSED):
            return self.place.fault(str(error))
        self.look()
        return ObjectInaccessible(f"the object {key} cannot be read: the server denies access to it")

    def delete(self, key: str) -> bool:
        with self._errors():
            if self._size(key) is None:
                return False
            with suppress(FileNotFoundError):
                obstore.delete(self._store, self.place.name_of(key))
            return True

    def _size(self, key: str) -> int | None:
        with self._errors():
            try:
                return obstore.head(self._store, self.place.name_of(key))["size"]
            except FileNotFoundError:
                return None
            except REFUSED:
                self.look()  # this answer had no body to say why; the other has
                raise

    def listed(self, folder: str) -> Iterator[list[ListedObject]]:
        """Page by page, each when it is asked for."""
        with self._errors():
            for page in obstore.list(self._store, self.place.name_of(folder), chunk_size=LISTED_AT_ONCE):
                yield [
                    ListedObject(
                        self.place.key_of(one["path"]), one["size"], _instant(one["last_modified"].timestamp())
                    )
                    for one in page
                ]

    def owner(self) -> str | None:
        with self._errors():
            try:
                found = obstore.get(self._store, self.place.name_of(OWNER))
            except FileNotFoundError as error:
                if code_of(str(error)) == "NoSuchBucket":
                    raise
                return None
            return bytes(found.bytes()).decode(errors="replace").strip()

    def claim(self, owner: str) -> str:
        """Of several that claim at once one wins, where the server knows a condition of a request."""
        there = self.owner()
        if there is not None:
            return there
        with self._errors():
            try:
                obstore.put(self._store, self.place.name_of(OWNER), owner.encode(), mode="create", use_multipart=False)
            except AlreadyExistsError:
                pass
            except (NotSupportedError, NotImplementedError):
                obstore.put(self._store, self.place.name_of(OWNER), owner.encode(), use_multipart=False)
        return self.owner() or owner

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise self.place.fault(str(error)) from None


class Upload:
    """An object on its way in: nothing of it is there before `finish`. The lock lets it be abandoned at any moment."""

    def __init__(self, store: S3Store, place: S3Place, key: str, limit: int) -> None:
        self._place = place
        self._lock = Lock()
        self._writer = obstore.open_writer(
            store,
            place.name_of(key),
            buffer_size=max(PART, -(-limit // MOST_PARTS)),
            max_concurrency=PARTS_AT_ONCE,
        )
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def write(self, parts: list[bytes]) -> None:
        for part in parts:
            self._do(lambda part=part: self._writer.write(part))  # type: ignore[misc]
            self._digest.update(part)
            self.size += len(part)

    def finish(self) -> None:
        self._do(self._writer.close)

    def abandon(self) -> None:
        """Have the server throw away what it got so far. Where that fails `forget_unfinished` does it later."""
        with self._lock, suppress(BaseError, OSError):
            self._writer.__exit__(InterruptedError, InterruptedError(), None)

    def _do(self, work: Callable[[], object]) -> None:
        with self._lock:
            try:
                work()
            except (BaseError, OSError) as error:
                raise self._place.fault(str(error)) from None


def _instant(seconds: float) -> Instant:
    return int(seconds * 1_000_000)
