"""What retention has under way, and its rounds."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Integer, Table, Text

from millrace.storage.tables.base import identifier, instant, metadata, short

deletions = Table(
    "deletions",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("whole", Boolean, nullable=False),
    Column("size", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Runs whose rows are still to go, a few at a time. `whole`: the run itself is gone already, and all that belonged to
it follows; otherwise only what its tasks took, answered and logged. `size` is about how many rows that is."""

retention_rounds = Table(
    "retention_rounds",
    metadata,
    identifier(primary_key=True),
    Column("cause", short(16), nullable=False),
    Column("runs", Integer, nullable=False, server_default="0"),
    Column("payloads", Integer, nullable=False, server_default="0"),
    Column("firings", Integer, nullable=False, server_default="0"),
    Column("events", Integer, nullable=False, server_default="0"),
    Column("operations", Integer, nullable=False, server_default="0"),
    Column("incarnations", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    instant("started_at", nullable=False),
    instant("finished_at"),
    CheckConstraint("cause in ('schedule', 'request')", name="cause"),
    sqlite_with_rowid=False,
)
