"""A script on MySQL or MariaDB, with asyncmy's unbuffered cursor. Statements are sent one by one.

Whatever happens, the connection is closed; when the attempt is cancelled, it is also killed on the server, which would
otherwise go on with its statement. Files of this machine are never sent (`load data local` is off).
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence

import asyncmy
from asyncmy.cursors import SSCursor
from asyncmy.errors import MySQLError

from millrace.core.values import JsonObject, JsonValue
from millrace.runners.sql.address import Target
from millrace.runners.sql.faults import SqlFault, invalid
from millrace.runners.sql.mysql_text import Reader, literal, reader_of, type_name
from millrace.runners.sql.parameters import Bound
from millrace.runners.sql.plan import Script
from millrace.runners.sql.results import Results
from millrace.runners.sql.tls import tls_context

logger = logging.getLogger(__name__)

logging.getLogger("asyncmy").setLevel(logging.ERROR)  # it logs the server's warnings, which quote users' data

ROWS_AT_ONCE = 200
CLOSE_WITHIN = 5.0
LOST = 2013
NO_HANDSHAKE = 1043


async def run_on_mysql(target: Target, addresses: tuple[str, ...], script: Script) -> JsonObject:
    connection, address, tls = await _connect(target, addresses)
    try:
        results = Results(script.demand)
        await _perform(connection, script, results)
        await _say_goodbye(connection)
        return results.output()
    except asyncio.CancelledError:
        connection.close()
        await _end_on_server(target, address, tls, connection.thread_id())
        raise
    except (MySQLError, OSError, RuntimeError) as error:
        raise _translated(error) from None
    finally:
        connection.close()


async def _connect(target: Target, addresses: tuple[str, ...]) -> tuple[asyncmy.Connection, str, str]:
    trouble: SqlFault | None = None
    for address in addresses:
        for tls in ("require", "disable") if target.tls == "prefer" else (target.tls,):
            try:
                return await _connect_to(target, address, tls), address, tls
            except TimeoutError:
                trouble = SqlFault(f"the database at {target.host}:{target.port} did not answer in time")
                break
            except (MySQLError, OSError) as error:
                trouble = _translated(error)
                if not _without_tls(error):
                    break
                if target.tls not in ("prefer", "disable"):
                    trouble = SqlFault(f"{trouble}; does the server offer TLS? sslmode={target.tls} asks for it")
    raise trouble or SqlFault(f"the host {target.host} has no address")


def _without_tls(error: Exception) -> bool:
    """Whether this is how a server that has no TLS answers to the request for it."""
    number = error.args[0] if error.args else 0
    return number in (LOST, NO_HANDSHAKE) or isinstance(error.__cause__, ssl.SSLError | ConnectionError)


async def _connect_to(target: Target, address: str, tls: str) -> asyncmy.Connection:
    async with asyncio.timeout(target.connect_timeout):
        connection: asyncmy.Connection = await asyncmy.connect(
            host=address,
            port=target.port,
            user=target.user,
            password=target.password.encode(),
            database=target.database or None,
            ssl=tls_context(tls, target.host),
            connect_timeout=target.connect_timeout,
            charset="utf8mb4",
            autocommit=True,
            local_infile=False,
            program_name=target.application_name,
            conv={},
        )
    return connection


async def _say_goodbye(connection: asyncmy.Connection) -> None:
    """Close in order, so the server logs no lost connection. All is committed: trouble here changes nothing."""
    try:
        await asyncio.wait_for(connection.ensure_closed(), CLOSE_WITHIN)
    except (MySQLError, OSError) as error:
        logger.debug("a connection could not be closed in order: %s", type(error).__name__)


async def _end_on_server(target: Target, address: str, tls: str, thread_id: int) -> None:
    try:
        async with asyncio.timeout(CLOSE_WITHIN):
            connection = await _connect_to(target, address, tls)
            try:
                await _send(connection, f"kill {thread_id:d}")
            finally:
                connection.close()
    except (MySQLError, OSError) as error:
        logger.warning("a cancelled statement could not be ended on the server: %s", type(error).__name__)


async def _perform(connection: asyncmy.Connection, script: Script, results: Results) -> None:
    if script.read_only:
        await _send(connection, "set session transaction read only")
    if script.transaction:
        await _send(connection, "start transaction")
    *before, last = script.statements
    for bound in before:
        await _statement(connection, bound, results, give_up=False)
    await _statement(connection, last, results, give_up=last.statement.first_word != "CALL")
    results.check()
    if script.transaction:
        await _send(connection, "commit")
    elif connection.get_transaction_status():
        raise invalid("sql: the script ends inside a transaction that it began; nothing of it was kept")


async def _send(connection: asyncmy.Connection, sql: str) -> None:
    """One of our own statements, which has no rows."""
    cursor = SSCursor(connection)
    await cursor.execute(sql)


async def _statement(connection: asyncmy.Connection, bound: Bound, results: Results, *, give_up: bool) -> None:
    """Run one statement. With `give_up` its rows decide: once they are too many, the rest need not be read."""
    cursor = SSCursor(connection)
    await cursor.execute(bound.text(lambda slot: f" {literal(bound.values[slot])}"))
    while True:
        if cursor.description is None:
            results.changed(cursor.rowcount)
        else:
            await _read(cursor, results, give_up=give_up)
        if not await cursor.nextset():
            return


async def _read(cursor: SSCursor, results: Results, *, give_up: bool) -> None:
    """Read all rows, also those that nobody wants: the protocol has no other way to the end of a result."""
    codes = [column[1] for column in cursor.description]
    readers = [reader_of(code) for code in codes]
    rows = results.begin_rows([column[0] for column in cursor.description], [type_name(code, None) for code in codes])
    wanted = not results.demand.none
    while records := await cursor.fetchmany(ROWS_AT_ONCE):
        for record in records:
            if not wanted:
                break
            for position, value in enumerate(record):
                if isinstance(value, bytes):
                    rows.types[position] = type_name(codes[position], value)
            wanted = rows.add(_row(record, readers))
        if give_up:
            results.check()


def _row(record: Sequence[str | bytes | None], readers: Sequence[Reader]) -> list[JsonValue]:
    return [None if value is None else reader(value) for value, reader in zip(record, readers, strict=True)]


def _translated(error: Exception) -> SqlFault:
    if isinstance(error, MySQLError) and len(error.args) > 1:
        return SqlFault(f"MySQL [{error.args[0]}]: {error.args[1]}")
    return SqlFault(f"MySQL: {error}")
