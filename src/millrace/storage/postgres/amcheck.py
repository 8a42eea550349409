"""What PostgreSQL finds wrong with the files of the database, by its extension amcheck.

Nothing is locked against readers or writers. Only who may call its functions can ask: superusers, and whom they let.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

MOST_FOUND = 50

OWN = "c.relnamespace = current_schema()::regnamespace and c.relpersistence = 'p'"
INDEXES = f"""select c.oid, c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam
where {OWN} and m.amname = 'btree' and c.relkind = 'i' and i.indisready and i.indisvalid order by c.relname"""  # noqa: S608
TABLES = f"select c.oid, c.relname from pg_class c where {OWN} and c.relkind = 'r' order by c.relname"  # noqa: S608
SCHEMA = """
select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'amcheck'"""
ALLOWED = "select has_function_privilege('{}.bt_index_check(regclass, boolean)', 'execute')"


def missing(connection: Connection) -> str | None:
    """Why the files cannot be looked at."""
    schema = _schema(connection)
    if schema is None:
        return "the extension amcheck is not installed, so the files of the database were not looked at"
    if not connection.exec_driver_sql(ALLOWED.format(schema)).scalar():
        return "this user may not call the extension amcheck, so the files of the database were not looked at"
    return None


def damage(connection: Connection, *, thorough: bool) -> Sequence[str]:
    """What is wrong with tables and indexes. `thorough`: each row is looked for in each index, too."""
    schema, found = _schema(connection), list[str]()
    for oid, name in connection.exec_driver_sql(TABLES).all():
        query = (
            f"select 'block ' || blkno || ': ' || msg from {schema}.verify_heapam({oid}::regclass) limit {MOST_FOUND}"  # noqa: S608
        )
        found += [f"the table {name}: {line}" for line in _said(connection, query)]
    for oid, name in connection.exec_driver_sql(INDEXES).all():
        query = f"select {schema}.bt_index_check({oid}::regclass, {str(thorough).lower()})::text"
        found += [f"the index {name}: {line}" for line in _said(connection, query)]
    return found


def _schema(connection: Connection) -> str | None:
    return connection.exec_driver_sql(SCHEMA).scalar()


def _said(connection: Connection, query: str) -> Iterator[str]:
    """The lines that are answered, and the error that the server ended with, if it did."""
    try:
        with connection.begin_nested():
            yield from (line for line in connection.exec_driver_sql(query).scalars().all() if line)
    except DBAPIError as error:
        yield str(error.orig).rpartition(": ")[2]
