"""Whether a connection works: it is used as tasks use it, by the same runner and through the same address policy."""

import asyncio
import time

from pydantic import ValidationError

from millrace.app.connections.queries import ConnectionQueries
from millrace.core.values import JsonObject
from millrace.ports.connections import Connection, Connections, ConnectionUnavailable
from millrace.ports.mail import Mailer, MailFailed, server_of_connection
from millrace.ports.network import AddressRefused
from millrace.ports.runner import Completed, LogLevel, RunnerContext, RunnerRegistry
from millrace.ports.secrets import Masker, SecretUse

WITHIN = 20.0
DATABASES = frozenset({"postgresql", "mysql", "mariadb", "sqlite"})
TESTING = SecretUse(None, "the test of a connection", keeps_to_hosts=True)
"""Whoever may test connections may test each: nothing of one goes anywhere but to its own server."""
ANY_ANSWER = ("100-400", 402, "404-599")
"""401 and 403 say that the credentials are not right."""


class NotWorking(Exception):
    """Why not, for people."""


class ConnectionTester:
    def __init__(
        self,
        queries: ConnectionQueries,
        connections: Connections,
        runners: RunnerRegistry,
        mailer: Mailer | None,
        masker: Masker,
    ) -> None:
        self._queries = queries
        self._connections = connections
        self._runners = runners
        self._mailer = mailer
        self._masker = masker

    async def test(self, name: str) -> JsonObject:
        """Connect once: `{"ok", "message", "duration_ms"}`. Raises `NotFound`."""
        kind = str((await self._queries.get(name))["type"])
        began = time.monotonic()
        try:
            async with asyncio.timeout(WITHIN):
                ok, message = True, await self._said(name, kind)
        except TimeoutError:
            ok, message = False, f"no answer within {WITHIN:g} s"
        except (NotWorking, ConnectionUnavailable, MailFailed, AddressRefused) as error:
            ok, message = False, str(error)
        took = round((time.monotonic() - began) * 1000)
        return {"ok": ok, "message": self._masker.text(message), "duration_ms": took}

    async def _said(self, name: str, kind: str) -> str:
        if kind == "smtp":
            return await self._by_mailer(await self._connections.resolve(name, types=frozenset({kind}), use=TESTING))
        if kind in DATABASES:
            await self._by_task("database", {"connection": name, "sql": "select 1", "read_only": True})
            return "the database answers"
        await self._by_task("http", {"connection": name, "method": "HEAD", "expected_status": list(ANY_ANSWER)})
        return "the server answers"

    async def _by_mailer(self, connection: Connection) -> str:
        if self._mailer is None:
            raise NotWorking("this server cannot send mail")
        try:
            server = server_of_connection(connection.config)
        except ValueError as error:
            raise NotWorking(f"the connection is not usable: {error}") from None
        await self._mailer.check(server)
        return "the mail server answers, and takes user and password if there are any"

    async def _by_task(self, task_type: str, config: JsonObject) -> None:
        runner = self._runners.get(task_type)
        if runner is None:
            raise NotWorking(f"this server has no task type {task_type!r}")
        try:
            checked = runner.config_model.model_validate(config)
        except ValidationError:
            raise NotWorking(f"the task type {task_type!r} of this server takes no connections") from None
        outcome = await runner.run(checked, RunnerContext("connection-test", "test", 1, _unheard, use=TESTING))
        if not isinstance(outcome, Completed):
            raise NotWorking(outcome.failure.message)


def _unheard(text: str, *, level: LogLevel = "info", metadata: JsonObject | None = None) -> None:
    """A test has no log."""
