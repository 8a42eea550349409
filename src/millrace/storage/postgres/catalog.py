"""The whole schema of a database in words, as PostgreSQL itself spells it, to compare it with another.

How a table is kept on the disk is no part of it, and so are its partitions.
"""

import re
from collections.abc import Mapping

from sqlalchemy import Connection, text

IN_SCHEMA = "relnamespace = cast(:schema as regnamespace)"
CASTS = re.compile(r"::(?:character varying|text)(?:\[\])?|[()]")
"""A condition that was dumped and restored has come to have others, and other brackets, though it means the same."""
NUMBER = re.compile(r"'(\d+)'::(?:bigint|integer)")
"""How the server remembers a default that was written as text."""

COLUMNS = f"""select 'column ' || c.relname || '.' || a.attname,
  concat_ws(' ', format_type(a.atttypid, a.atttypmod), 'collate ' || nullif(l.collname, 'default'),
    case when a.attnotnull then 'not null' end, 'default ' || pg_get_expr(d.adbin, d.adrelid))
from pg_attribute a join pg_class c on c.oid = a.attrelid
left join pg_collation l on l.oid = a.attcollation
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.{IN_SCHEMA} and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and a.attnum > 0 and not a.attisdropped"""  # noqa: S608 - of our own words, like all here
CONSTRAINTS = f"""select 'constraint ' || c.relname || '.' || o.conname, pg_get_constraintdef(o.oid)
from pg_constraint o join pg_class c on c.oid = o.conrelid where c.{IN_SCHEMA} and not c.relispartition"""  # noqa: S608
INDEXES = f"""select 'index ' || i.relname, replace(pg_get_indexdef(x.indexrelid), ' ON ONLY ', ' ON ')
from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
where c.{IN_SCHEMA} and not c.relispartition and x.indisvalid and x.indisready"""  # noqa: S608
TRIGGERS = f"""select 'trigger ' || t.tgname, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.{IN_SCHEMA} and not t.tgisinternal"""  # noqa: S608
FUNCTIONS = """select 'function ' || p.oid::regprocedure::text, pg_get_functiondef(p.oid) from pg_proc p
where p.pronamespace = cast(:schema as regnamespace) and p.prokind = 'f' and not exists (
  select 1 from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')"""
TABLES = (COLUMNS, CONSTRAINTS, INDEXES)


def spelled_out(connection: Connection, schema: str = "public") -> Mapping[str, str]:
    """Everything in the schema, by kind and name."""
    return _found(connection, (*TABLES, TRIGGERS, FUNCTIONS), schema)


def tables_spelled_out(connection: Connection, schema: str = "public") -> Mapping[str, str]:
    """Of that only what tables consist of."""
    return _found(connection, TABLES, schema)


def _found(connection: Connection, queries: tuple[str, ...], schema: str) -> Mapping[str, str]:
    rows = [row for query in queries for row in connection.execute(text(query), {"schema": schema})]
    return {name.replace(f"{schema}.", ""): _comparable(name, words.replace(f"{schema}.", "")) for name, words in rows}


def _comparable(name: str, words: str) -> str:
    return words if name.startswith("function ") else CASTS.sub("", NUMBER.sub(r"\1", words))
