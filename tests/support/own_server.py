"""A PostgreSQL server of a test's own, for what must not be done to the one that all share: to stop it, or to be asked
passwords by it."""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

from tests.support.disks import file_system
from tests.support.server import free_port

USER, PASSWORD = "ada", "correct horse"
UNPRIVILEGED = "postgres"
"""Whom a server runs as when the tests run as root, which PostgreSQL refuses to."""


@dataclass(frozen=True)
class OwnServer:
    folder: Path
    port: int
    log_of_changes: Path | None = None
    """Where it lies when not beside the tables."""

    @property
    def url(self) -> str:
        return self.address()

    def address(self, database: str = "postgres", user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def stop(self, mode: str = "fast", *, wait: bool = True) -> None:
        """`smart` waits for those who are connected, and lets nobody in any more."""
        self._run("pg_ctl", "-W" if not wait else "-w", "-m", mode, "stop")

    def initialise(self) -> None:
        """Copied from the first one where that can be: to make one takes seconds, and tests begin with dozens."""
        if self.log_of_changes is None:
            if self._user:
                shutil.chown(self.folder, self._user)
            subprocess.run(["cp", "-a", str(_first() / "data"), str(self.data)], check=True)
        else:
            self._make()

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            shutil.chown(self.folder, self._user)
            shutil.chown(secret, self._user)
            if self.data.exists():
                shutil.chown(self.data, self._user)
        log = () if self.log_of_changes is None else (f"--waldir={self.log_of_changes}",)
        self._run("initdb", "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", *log)

    @property
    def is_up(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @cached_property
    def _user(self) -> str | None:
        return UNPRIVILEGED if os.geteuid() == 0 else None

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(programs() / program), "-D", str(self.data), *arguments]
        subprocess.run(command, user=self._user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, timeout=60)


@cache
def _first() -> Path:
    """The folder of a server that was never started."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-postgres-first-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    OwnServer(folder, 0)._make()
    return folder


def programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    if not found[-1].is_file():
        pytest.skip("there is no initdb, so no server of the test's own")
    return found[-1].parent


@contextmanager
def own_server(*, disk: str | None = None) -> Iterator[OwnServer]:
    """It runs at first; whether it does in the end is the test's affair.

    `disk`: its tables lie on a file system of their own of this size, and the log of changes elsewhere, without which
    PostgreSQL cannot live.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-postgres-") as name, ExitStack() as disks:
        folder = Path(name)
        server = OwnServer(folder, free_port(), None if disk is None else folder / "log-of-changes")
        if disk is not None:
            disks.enter_context(file_system(server.data, disk))
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            if server.is_up:
                server.stop("immediate")
