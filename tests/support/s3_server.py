"""A real S3 server that checks signatures (OpenStack Swift), one for each process of tests, begun when it is needed.

For tests marked `service("s3")`. It is a process of its own that ends with this one, however that happens, since it
ends when its standard input does.
"""

import atexit
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Self

import httpx2
import obstore
from obstore.store import S3Store

from millrace.artifacts.s3_place import S3Place
from millrace.ports.objects import OWNER
from tests.conftest import service_url

PROGRAM = Path(__file__).with_name("swift_process.py")
REGION, KEY_ID, SECRET = "us-east-1", "test:tester", "testing"


class S3Server:
    def __init__(self, port: int = 0) -> None:
        """`port`: which one, if not any."""
        self._folder = tempfile.TemporaryDirectory(prefix="millrace-s3-")
        log = Path(self._folder.name) / "log"
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [service_url("s3"), str(PROGRAM), self._folder.name, str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdout is not None
        chosen = self._process.stdout.readline().strip()
        assert chosen, log.read_text()
        self.endpoint = f"http://127.0.0.1:{int(chosen)}"

    def stop(self) -> None:
        self._process.communicate(timeout=30)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def bucket(self, name: str | None = None) -> "Bucket":
        """A new one."""
        bucket = Bucket(name or f"millrace-{uuid.uuid4().hex[:12]}", self.endpoint)
        made = httpx2.put(obstore.sign(bucket.at_the_source(), "PUT", "", timedelta(minutes=1)), trust_env=False)
        assert made.status_code == 200, made.text
        return bucket

    def stored_parts(self) -> int:
        """How many pieces of objects are on its disk, those of uploads that never ended among them."""
        return sum(1 for _ in Path(self._folder.name, "devices").rglob("*.data"))


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what opens it."""

    name: str
    endpoint: str
    secret: str = SECRET

    @property
    def place(self) -> S3Place:
        return S3Place(self.name, "kept/here", self.endpoint, REGION, KEY_ID, self.secret, allow_http=True)

    @property
    def settings(self) -> dict[str, str]:
        """For a Millrace that keeps its objects in it."""
        return {
            "MILLRACE_ARTIFACTS_URL": f"s3://{self.name}/kept/here",
            "MILLRACE_S3_ENDPOINT": self.endpoint,
            "MILLRACE_S3_ALLOW_HTTP": "true",
            "MILLRACE_S3_REGION": REGION,
            "MILLRACE_S3_ACCESS_KEY_ID": KEY_ID,
            "MILLRACE_S3_SECRET_ACCESS_KEY": self.secret,
        }

    def with_secret(self, secret: str) -> "Bucket":
        return replace(self, secret=secret)

    def at_the_source(self) -> S3Store:
        """The bucket past Millrace, to look at and to spoil things in."""
        return S3Store(
            self.name,
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=KEY_ID,
            secret_access_key=self.secret,
            client_options={"allow_http": True},
        )

    def objects(self) -> list[str]:
        """Their keys, as Millrace names them; without the note of whose they are."""
        found = [one["path"] for some in obstore.list(self.at_the_source()) for one in some]
        assert all(name.startswith("kept/here/") for name in found)
        return sorted({name.removeprefix("kept/here/") for name in found} - {OWNER})


@cache
def s3_server() -> S3Server:
    """The one of this process."""
    server = S3Server()
    atexit.register(server.stop)
    return server
