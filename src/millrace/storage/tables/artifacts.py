"""Files that tasks made or users uploaded, and operations on many runs at once."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table, Text, text

from millrace.storage.tables.base import identifier, instant, metadata

artifacts = Table(
    "artifacts",
    metadata,
    identifier(primary_key=True),
    Column("name", String(255), nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("object_key", String(512), nullable=False),
    Column("run_id", String(36)),
    Column("path", String(512)),
    Column("attempt", Integer),
    Column("created_by", String(36)),
    instant("created_at", nullable=False),
    instant("expires_at"),
    Index("ix_artifacts_run_id_id", "run_id", "id", sqlite_where=text("run_id is not null")),
    Index("ix_artifacts_expires_at", "expires_at", sqlite_where=text("expires_at is not null")),
    sqlite_with_rowid=False,
)

operations = Table(
    "operations",
    metadata,
    identifier(primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("request", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("position", String(36)),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("created_by", String(36)),
    instant("created_at", nullable=False),
    instant("finished_at"),
    CheckConstraint("status in ('running', 'completed', 'failed')", name="status"),
    Index("ix_operations_running", "id", sqlite_where=text("status = 'running'")),
    sqlite_with_rowid=False,
)
"""A bulk operation and how far it has come: `position` is the id of the last run it has dealt with."""
