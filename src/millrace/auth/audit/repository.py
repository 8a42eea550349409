"""Adding rows to the audit log. SQL only; reading and sealing are in `app.audit`."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert

from millrace.storage.tables import audit_log


def add(connection: Connection, values: Mapping[str, object]) -> None:
    connection.execute(insert(audit_log).values(values))
