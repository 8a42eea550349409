"""What retention has under way, its rounds, and where it has put the runs that it deleted."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Table, Text

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
    Column("archived", Integer, nullable=False, server_default="0"),
    Column("archives", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    instant("started_at", nullable=False),
    instant("finished_at"),
    CheckConstraint("cause in ('schedule', 'request')", name="cause"),
    sqlite_with_rowid=False,
)

archives = Table(
    "archives",
    metadata,
    identifier(primary_key=True),
    Column("object_key", short(512), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", short(64), nullable=False),
    Column("index_at", BigInteger, nullable=False),
    Column("families", Integer, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("first_run_id", short(36), nullable=False),
    Column("last_run_id", short(36), nullable=False),
    instant("created_at", nullable=False),
    Index("ix_archives_first_run_id", "first_run_id"),
    sqlite_with_rowid=False,
)
"""Objects with families of runs that were written before the families were deleted: a row for each, so that there are
few. Which runs are in an object stands in the object itself, from the byte `index_at` on; `first_run_id` and
`last_run_id` are the least and the greatest of them. A row that is there means that its object is there."""
