"""The task type `database`: its configuration, and the way from there to a driver and back to rows.

Nothing here knows SQL or a driver. What must hold here: no message leaves without the password masked, and an
installation's rules (address policy, SQLite folders) are applied before anything is opened.
"""

import asyncio
import builtins
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject
from millrace.ports.artifacts import ArtifactFault
from millrace.ports.connections import ConnectionUnavailable
from millrace.ports.hosts import HostLimit, HostRefused
from millrace.ports.network import AddressRefused
from millrace.ports.runner import Completed, ConfigFault, Failed, Outcome, RunnerContext, RunnerServices
from millrace.ports.secrets import SecretUse
from millrace.runners.sql.address import Target, read_target, secrets_in
from millrace.runners.sql.beforehand import certain_faults
from millrace.runners.sql.connections import TYPES, connection_string_of
from millrace.runners.sql.dialect import POSTGRES, SQLITE
from millrace.runners.sql.faults import SqlFault
from millrace.runners.sql.plan import Script, script_of
from millrace.runners.sql.results import Demand
from millrace.runners.sql.spool import MEDIA_TYPES, Format, Spool
from millrace.runners.task_config import TaskConfig

MASK = "***"
SQLITE_THREADS = 16
ROW_LIMIT = 10_000
ALLOWED_TARGETS = "MILLRACE_HTTP_ALLOWED_TARGETS"


class DatabaseConfig(TaskConfig):
    """SQL on SQLite, PostgreSQL, MySQL or MariaDB."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["connection_string"]}, {"required": ["connection"]}]}
    )

    connection: str | None = Field(
        default=None, min_length=1, description="Name of a connection, instead of `connection_string`."
    )
    connection_string: str | None = Field(
        default=None,
        min_length=1,
        validate_default=True,
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
        "`%(name)s` or `:name`. Without it nothing in the SQL is a placeholder. A list in `in (:ids)` stands for its "
        "values, each of them bound, an empty one for none; elsewhere it is a PostgreSQL array, or JSON text.",
    )
    transaction: bool = Field(
        default=True,
        description="Run all statements in one transaction and roll all back when one fails. False commits each by "
        "itself, for statements that allow no transaction. MySQL commits at every `create`, `alter` and `drop`.",
    )
    fetch: Literal["all", "one", "none", "artifact"] = Field(
        default="all",
        description="Which rows of the last statement that returns any become the output: all, the first, or none "
        "(then `row_count` is the number of rows changed). With artifact all go into a file, and `file` in the output "
        "is the reference to it.",
    )
    format: Format = Field(
        default="jsonl",
        description="Of that file: a JSON object per line, or CSV with the names of the columns in the first line.",
    )
    file_name: str | None = Field(default=None, min_length=1, description="Of that file; by default rows.jsonl.")
    row_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description=f"More rows than this are a failure: filter in SQL, or raise it. The default is {ROW_LIMIT}; a "
        "file has no limit but its size.",
    )
    read_only: bool = Field(default=False, description="Refuse every change: the database itself sees to it.")

    @field_validator("connection_string")
    @classmethod
    def _one_database(cls, text: str | None, info: ValidationInfo) -> str | None:
        # A connection that is faulty itself is told by itself.
        if text is None and "connection" in info.data and info.data["connection"] is None:
            raise PydanticCustomError("missing", "Field required")
        if text is not None and info.data.get("connection") is not None:
            told = {"remedy": "take one of them out"}
            raise PydanticCustomError("value", "give connection or connection_string, not both", told)
        return text

    @classmethod
    def certain_faults(cls, config: JsonObject) -> Iterable[ConfigFault]:
        """Meets `ports.runner.JudgesConfig`."""
        return certain_faults(config)

    @property
    def source(self) -> str:
        """What says which database it is, for messages."""
        return "connection_string" if self.connection is None else f"connection {self.connection!r}"


class DatabaseRunner:
    """Runs SQL. Each attempt has a connection of its own, which is closed whatever happens."""

    type: ClassVar[str] = "database"
    summary: ClassVar[str] = "Run SQL on SQLite, PostgreSQL, MySQL or MariaDB; rows come out as JSON."
    config_model: "ClassVar[builtins.type[BaseModel]]" = DatabaseConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset({"sql"})
    keeps_to_hosts: ClassVar[Literal[True]] = True

    def __init__(self, services: RunnerServices) -> None:
        self._services = services
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, config: DatabaseConfig, context: RunnerContext) -> Outcome:
        try:
            connection_string = config.connection_string or await self._named(config.connection or "", context.use)
        except ConnectionUnavailable as error:
            return Failed.because(str(error), kind=FailureKind.REFUSED)
        secrets = secrets_in(connection_string)
        try:
            target = read_target(connection_string)
            _check_host(target, context.hosts)
            if config.fetch == "artifact":
                output = await self._into_file(config, target, context)
            else:
                output = await self._perform(target, _script(config, target))
        except ArtifactFault:
            raise
        except SqlFault as fault:
            return Failed.because(_masked(str(fault), secrets), kind=fault.kind)
        except HostRefused as refusal:
            return Failed.because(_masked(str(refusal), secrets), kind=FailureKind.REFUSED)
        except AddressRefused as refusal:
            message = f"{config.source}: {refusal}"
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

    async def _into_file(self, config: DatabaseConfig, target: Target, context: RunnerContext) -> JsonObject:
        with closing(Spool(config.format, context.artifacts.largest)) as spool:
            output = await self._perform(target, _script(config, target, spool))
            del output["rows"]
            file = None
            if output["columns"]:
                name = config.file_name or f"rows.{config.format}"
                file = await context.artifacts.write(spool.parts(), name=name, media_type=MEDIA_TYPES[config.format])
            return {"file": file, **output}

    async def _perform(self, target: Target, script: Script) -> JsonObject:
        if target.dialect is SQLITE:
            return await self._on_sqlite(target, script)
        addresses = await self._addresses(target)
        if target.dialect is POSTGRES:
            from millrace.runners.sql.postgres import run_on_postgres

            return await run_on_postgres(target, addresses, script)
        from millrace.runners.sql.mysql import run_on_mysql

        return await run_on_mysql(target, addresses, script)

    async def _named(self, name: str, use: SecretUse) -> str:
        if self._services.connections is None:
            raise ConnectionUnavailable("this worker has no connections")
        return connection_string_of(await self._services.connections.resolve(name, types=TYPES, use=use))

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
        work = SqliteWork(
            target.database, services.sqlite_allowed_dirs, services.own_database, script, services.shell.user
        )
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


def _check_host(target: Target, hosts: HostLimit) -> None:
    """Raise `HostRefused` unless secrets in the config, its parameters included, may go to this database."""
    if target.dialect is SQLITE:
        hosts.refuse("a SQLite file")
    else:
        hosts.check(target.host, target.port)


def _script(config: DatabaseConfig, target: Target, spool: Spool | None = None) -> Script:
    limit = config.row_limit or (ROW_LIMIT if spool is None else None)
    demand = Demand(limit, first_only=config.fetch == "one", none=config.fetch == "none", spool=spool)
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
