"""The task type `database`: its configuration, and the way from there to a driver and back to rows.

Nothing here knows SQL or a driver. What must hold here: no message leaves without the password masked, and an
installation's rules (address policy, SQLite folders) are applied before anything is opened.
"""

import asyncio
import builtins
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject
from millrace.ports.network import AddressRefused
from millrace.ports.runner import Completed, Failed, Outcome, RunnerContext, RunnerServices
from millrace.runners.sql.address import Target, read_target, secrets_in
from millrace.runners.sql.dialect import POSTGRES, SQLITE
from millrace.runners.sql.faults import SqlFault
from millrace.runners.sql.plan import Script, script_of
from millrace.runners.sql.results import Demand

MASK = "***"
SQLITE_THREADS = 16
ALLOWED_TARGETS = "MILLRACE_HTTP_ALLOWED_TARGETS"


class DatabaseConfig(BaseModel):
    """SQL on SQLite, PostgreSQL, MySQL or MariaDB."""

    model_config = ConfigDict(extra="forbid")

    connection_string: str = Field(
        min_length=1,
        description="`sqlite:///PATH`, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` or `mysql://…` (`mariadb://…`). "
        "Options: sslmode, connect_timeout, application_name.",
    )
    sql: str = Field(
        min_length=1,
        description="One statement, or several with semicolons between them. It is no template: values go through "
        "`parameters`.",
    )
    parameters: list[JsonValue] | dict[str, JsonValue] | None = Field(
        default=None,
        description="Values for the placeholders: a list for `%s` or `?`, used up in order; a mapping for "
        "`%(name)s` or `:name`. Without it nothing in the SQL is a placeholder.",
    )
    transaction: bool = Field(
        default=True,
        description="Run all statements in one transaction and roll all back when one fails. False commits each by "
        "itself, for statements that allow no transaction. MySQL commits at every `create`, `alter` and `drop`.",
    )
    fetch: Literal["all", "one", "none"] = Field(
        default="all",
        description="Which rows of the last statement that returns any become the output: all, the first, or none "
        "(then `row_count` is the number of rows changed).",
    )
    row_limit: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000, description="More rows than this are a failure: filter in SQL, or raise it."
    )
    read_only: bool = Field(default=False, description="Refuse every change: the database itself sees to it.")


class DatabaseRunner:
    """Runs SQL. Each attempt has a connection of its own, which is closed whatever happens."""

    type: ClassVar[str] = "database"
    summary: ClassVar[str] = "Run SQL on SQLite, PostgreSQL, MySQL or MariaDB; rows come out as JSON."
    config_model: "ClassVar[builtins.type[BaseModel]]" = DatabaseConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset({"sql"})

    def __init__(self, services: RunnerServices) -> None:
        self._services = services
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, config: DatabaseConfig, context: RunnerContext) -> Outcome:
        secrets = secrets_in(config.connection_string)
        try:
            target = read_target(config.connection_string)
            output = await self._perform(target, _script(config, target))
        except SqlFault as fault:
            return Failed.because(_masked(str(fault), secrets), kind=fault.kind)
        except AddressRefused as refusal:
            message = f"connection_string: {refusal}"
            if ALLOWED_TARGETS not in message:
                message += f"; the setting is {ALLOWED_TARGETS}"
            return Failed.because(_masked(message, secrets), kind=FailureKind.REFUSED)
        except Exception as error:  # a driver's surprise: its text may hold the password, so it must not escape
            message = _masked(f"{type(error).__name__}: {error}", secrets)
            return Failed.because(message)
        return Completed(output)

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _perform(self, target: Target, script: Script) -> JsonObject:
        if target.dialect is SQLITE:
            return await self._on_sqlite(target, script)
        addresses = await self._addresses(target)
        if target.dialect is POSTGRES:
            from millrace.runners.sql.postgres import run_on_postgres

            return await run_on_postgres(target, addresses, script)
        from millrace.runners.sql.mysql import run_on_mysql

        return await run_on_mysql(target, addresses, script)

    async def _addresses(self, target: Target) -> tuple[str, ...]:
        try:
            return await self._services.addresses.resolve(target.host, target.port)
        except OSError as error:
            raise SqlFault(f"the database's host {target.host!r} cannot be found: {error}") from None

    async def _on_sqlite(self, target: Target, script: Script) -> JsonObject:
        from millrace.runners.sql.sqlite import SqliteWork

        if self._threads is None:
            self._threads = ThreadPoolExecutor(SQLITE_THREADS, thread_name_prefix="database-task")
        services = self._services
        work = SqliteWork(target.database, services.sqlite_allowed_dirs, services.own_database, script)
        job = self._threads.submit(work.run)
        ended = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            work.stop()
            if not job.cancel():
                await asyncio.wait([ended])
                ended.exception()
            raise


def _script(config: DatabaseConfig, target: Target) -> Script:
    demand = Demand(config.row_limit, first_only=config.fetch == "one", none=config.fetch == "none")
    return script_of(
        config.sql,
        config.parameters,
        target.dialect,
        demand=demand,
        transaction=config.transaction,
        read_only=config.read_only,
    )


def _masked(message: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        message = message.replace(secret, MASK)
    return message
