"""Files that tasks made or users uploaded, and operations on many runs at once."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Table, Text

from millrace.storage.tables.base import identifier, instant, metadata, short, where

artifacts = Table(
    "artifacts",
    metadata,
    identifier(primary_key=True),
    Column("name", short(255), nullable=False),
    Column("media_type", short(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", short(64), nullable=False),
    Column("object_key", short(512), nullable=False),
    Column("run_id", short(36)),
    Column("path", short(512)),
    Column("attempt", Integer),
    Column("created_by", short(36)),
    instant("created_at", nullable=False),
    instant("expires_at"),
    Index("ix_artifacts_run_id_id", "run_id", "id", **where("run_id is not null")),
    Index("ix_artifacts_expires_at", "expires_at", **where("expires_at is not null")),
    sqlite_with_rowid=False,
)

operations = Table(
    "operations",
    metadata,
    identifier(primary_key=True),
    Column("kind", short(16), nullable=False),
    Column("request", Text, nullable=False),
    Column("status", short(16), nullable=False),
    Column("position", short(36)),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("created_by", short(36)),
    instant("created_at", nullable=False),
    instant("finished_at"),
    CheckConstraint("status in ('running', 'completed', 'failed')", name="status"),
    Index("ix_operations_running", "id", **where("status = 'running'")),
    sqlite_with_rowid=False,
)
"""A bulk operation and how far it has come: `position` is the id of the last run it has dealt with."""
