"""What is certain to be wrong with a `database` task before any expression has a value.

The same parser is asked as when the task is run. Which database it will be may be unknown then (a named connection, an
expression): a fault of the SQL is told only if it is one on every database.
"""

from collections.abc import Iterator, Sequence

from millrace.core.values import JsonObject, JsonValue
from millrace.ports.runner import ConfigFault
from millrace.runners.sql.address import DIALECTS, read_target
from millrace.runners.sql.dialect import MYSQL, POSTGRES, SQLITE, Dialect
from millrace.runners.sql.faults import Misfit, SqlFault
from millrace.runners.sql.plan import examined

EXPRESSION = "{{"


def certain_faults(config: JsonObject) -> Iterator[ConfigFault]:
    address = config.get("connection_string")
    if isinstance(address, str) and address and EXPRESSION not in address:
        try:
            read_target(address)
        except SqlFault as fault:
            message, _, remedy = str(fault).removeprefix("connection_string: ").partition("; ")
            yield ConfigFault("connection_string", message, remedy or "write scheme://USER:PASSWORD@HOST/DATABASE")
    for misfit in _misfits(config):
        yield ConfigFault(misfit.field, misfit.message, misfit.remedy)


def _misfits(config: JsonObject) -> Sequence[Misfit]:
    sql, parameters = config.get("sql"), config.get("parameters")
    if not isinstance(sql, str) or not sql or not isinstance(parameters, list | dict | None):
        return ()
    transaction = config.get("transaction", True) is True
    found = [examined(sql, parameters, dialect, transaction=transaction)[1] for dialect in _dialects(config)]
    everywhere = [misfit for misfit in found[0] if all(misfit in others for others in found)]
    return everywhere or (found[0] if all(found) else ())


def _dialects(config: JsonObject) -> Sequence[Dialect]:
    known = DIALECTS.get(_scheme(config.get("connection_string")))
    return (POSTGRES, SQLITE, MYSQL) if known is None else (known,)


def _scheme(address: JsonValue) -> str:
    scheme, separator, _ = address.partition("://") if isinstance(address, str) else ("", "", "")
    return scheme.partition("+")[0].lower() if separator else ""
