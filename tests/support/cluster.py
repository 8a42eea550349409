"""Several Millrace processes on one PostgreSQL database, for tests that lose some of them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg

from tests.support.postgres import fresh_database
from tests.support.server import MillraceProcess


@contextmanager
def database() -> Iterator[str]:
    """The address of a database with Millrace's schema and nothing in it."""
    with asyncio.Runner() as runner:
        context = fresh_database(clock=False)
        url = runner.run(context.__aenter__())
        try:
            yield url
        finally:
            runner.run(context.__aexit__(None, None, None))


class Cluster:
    """They share a home, as processes on one machine do, and so the API key and the encryption key."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self._folder = folder
        self.url = url
        self._settings = {"MILLRACE_DATABASE_URL": url, "MILLRACE_APPLY_EXAMPLES": "false", **settings}
        self._all: list[MillraceProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What they logged is shown with a test that fails."""
        for process in self._all:
            process.kill()
            print(f"--- {' '.join(process.command)}\n{process.log.read_text()[-4000:]}")

    def start(self, *commands: str, home: str = "home", **settings: str) -> list[MillraceProcess]:
        """Start one process for each command, such as `worker --queue gpu`, all at once; they are ready."""
        started = [self.process(command.split(), home=home, **settings) for command in commands]
        for process in started:
            process.spawn()
        for process in started:
            process.wait_until_ready()
        return started

    @contextmanager
    def interlude(self) -> Iterator[Self]:
        """What is started within it is killed with its end, so that a module of tests does not pile up processes, and
        with them connections to a server that others use, too."""
        before = len(self._all)
        try:
            yield self
        finally:
            for process in self._all[before:]:
                process.kill()

    def process(self, command: Sequence[str], *, home: str = "home", **settings: str) -> MillraceProcess:
        """One that is yet to be started."""
        name = f"{command[0]}-{len(self._all)}"
        process = MillraceProcess(self._folder / home, command=command, name=name, **{**self._settings, **settings})
        self._all.append(process)
        return process

    def ask(self, query: str, *arguments: Any) -> list[Any]:
        """Ask the database, past all processes."""

        async def asked() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return asyncio.run(asked())
