"""Second versions of workflows that take a share of the triggered runs."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table

from millrace.storage.tables.base import identifier, instant, metadata, short, where

canaries = Table(
    "canaries",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", short(36), nullable=False),
    Column("version", Integer, nullable=False),
    Column("stable", Integer, nullable=False),
    Column("share", Integer, nullable=False),
    Column("started_by", short(36)),
    instant("started_at", nullable=False),
    Column("outcome", short(16)),
    Column("ended_by", short(36)),
    instant("ended_at"),
    CheckConstraint("share between 1 and 9999", name="share"),
    CheckConstraint("outcome in ('promoted', 'stopped', 'replaced')", name="outcome"),
    CheckConstraint("(outcome is null) = (ended_at is null)", name="ended"),
    Index("ix_canaries_workflow_id_id", "workflow_id", "id"),
    Index("uq_canaries_live", "workflow_id", unique=True, **where("ended_at is null")),
    sqlite_with_rowid=False,
)
"""`share` in hundredths of a percent; `stable` is the version that was deployed when it began. One that has ended is
kept for its record, and a workflow has at most one that has not."""
