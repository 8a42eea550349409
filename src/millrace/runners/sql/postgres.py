"""A script on PostgreSQL, with asyncpg. Parameters are bound by the server; rows come through a cursor.

Whatever happens, the connection is closed; when the attempt is cancelled, the statement is first cancelled on the
server, which would otherwise go on with it.
"""

import asyncio
from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from millrace.core.values import JsonObject
from millrace.runners.sql.address import Target
from millrace.runners.sql.faults import SqlFault, invalid
from millrace.runners.sql.parameters import Bound
from millrace.runners.sql.plan import Script
from millrace.runners.sql.postgres_types import use_text
from millrace.runners.sql.results import Results, Rows
from millrace.runners.sql.tls import tls_context

ROWS_AT_ONCE = 200
CLOSE_WITHIN = 5.0


async def run_on_postgres(target: Target, addresses: tuple[str, ...], script: Script) -> JsonObject:
    connection = await _connect(target, addresses)
    try:
        await use_text(connection)
        results = Results(script.demand)
        await _perform(connection, script, results)
        return results.output()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise _translated(error) from None
    finally:
        await _close(connection)


async def _connect(target: Target, addresses: tuple[str, ...]) -> asyncpg.Connection:
    trouble: Exception | None = None
    for address in addresses:
        for tls in ("require", "disable") if target.tls == "prefer" else (target.tls,):
            try:
                return await _connect_to(target, address, tls)
            except TimeoutError:
                trouble = SqlFault(f"PostgreSQL at {target.host}:{target.port} did not answer in time")
                break
            except OSError as error:
                trouble = _translated(error)
                if "rejected SSL upgrade" not in str(error):
                    break
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise _translated(error) from None
    raise trouble or SqlFault(f"the host {target.host} has no address")


async def _connect_to(target: Target, address: str, tls: str) -> asyncpg.Connection:
    """Every argument is given, also those that have a default: asyncpg would look into the environment for it."""
    connection: asyncpg.Connection = await asyncpg.connect(
        host=address,
        port=target.port,
        user=target.user,
        password=target.password,
        database=target.database,
        ssl=tls_context(tls, target.host) or False,
        timeout=target.connect_timeout,
        statement_cache_size=0,
        target_session_attrs=SessionAttribute.any,
        server_settings={"application_name": target.application_name},
    )
    return connection


async def _close(connection: asyncpg.Connection) -> None:
    """Close in order, which waits for a running cancellation; cut the connection if that takes too long."""
    try:
        await connection.close(timeout=CLOSE_WITHIN)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise


async def _perform(connection: asyncpg.Connection, script: Script, results: Results) -> None:
    if script.read_only and not script.transaction:
        await connection.execute("set default_transaction_read_only = on")
    if script.transaction:
        await connection.execute("begin read only" if script.read_only else "begin")
    for bound in script.statements:
        await _statement(connection, bound, results)
    results.check()
    if script.transaction:
        await connection.execute("commit")
    elif connection.is_in_transaction():
        raise invalid("sql: the script ends inside a transaction that it began; nothing of it was kept")


async def _statement(connection: asyncpg.Connection, bound: Bound, results: Results) -> None:
    if bound.statement.first_word == "COPY" and {"STDIN", "STDOUT"} & set(bound.statement.words):
        raise invalid("sql: `copy` to or from the client is not possible; use parameters and rows")
    statement = await connection.prepare(bound.text(lambda slot: f"${slot + 1}"))
    columns = statement.get_attributes()
    if not columns:
        await statement.fetch(*bound.values)
        results.changed(_changed(statement.get_statusmsg()))
        return
    rows = results.begin_rows([column.name for column in columns], [column.type.name for column in columns])
    if connection.is_in_transaction():
        await _read(statement, bound, rows, results)
        return
    async with connection.transaction():
        await _read(statement, bound, rows, results)


async def _read(statement: asyncpg.prepared_stmt.PreparedStatement, bound: Bound, rows: Rows, results: Results) -> None:
    cursor = await statement.cursor(*bound.values)
    wanted = True
    while records := await cursor.fetch(ROWS_AT_ONCE):
        for record in records:
            if wanted and not results.demand.none:
                wanted = rows.add(tuple(record))
        if not wanted:
            return


def _changed(status: str | None) -> int:
    """`INSERT 0 3` and `UPDATE 3` say how many rows; `CREATE TABLE` says none."""
    last = (status or "").rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _translated(error: Exception) -> SqlFault:
    if isinstance(error, asyncpg.DataError) and str(error).startswith("invalid input for query argument"):
        return invalid(f"parameters: {error}")
    if isinstance(error, asyncpg.PostgresError):
        parts: list[Any] = [error.args[0] if error.args else "", getattr(error, "detail", None)]
        state = f" [{error.sqlstate}]" if error.sqlstate else ""
        return SqlFault(f"PostgreSQL{state}: {'; '.join(part for part in parts if part)}")
    if isinstance(error, asyncpg.UnsupportedClientFeatureError):
        return SqlFault(f"PostgreSQL: {error}; convert the value in SQL (`to_jsonb(x)` or `x::text`)")
    return SqlFault(f"PostgreSQL: {error}")
