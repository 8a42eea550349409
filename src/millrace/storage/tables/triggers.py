"""Triggers, what became of each time one fired, and events from outside."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from millrace.storage.tables.base import identifier, instant, metadata

triggers = Table(
    "triggers",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", String(36), ForeignKey("workflows.id"), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("type", String(32), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("condition", Text),
    Column("config", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("version_id", String(36)),
    instant("next_due_at"),
    instant("decided_until"),
    instant("last_fired_at"),
    Column("last_run_id", String(36)),
    Column("last_error", Text),
    Column("fired_count", BigInteger, nullable=False, server_default="0"),
    Column("started_count", BigInteger, nullable=False, server_default="0"),
    Column("failed_count", BigInteger, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="1"),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    CheckConstraint("origin in ('definition', 'api')", name="origin"),
    UniqueConstraint("workflow_id", "origin", "name"),
    Index("ix_triggers_next_due_at", "next_due_at", sqlite_where=text("next_due_at is not null")),
    Index("ix_triggers_type_id", "type", "id"),
    sqlite_with_rowid=False,
)  # fmt: skip
"""`name` is the id of the trigger in its definition. `next_due_at` is null for whatever fires nothing by itself now."""

firings = Table(
    "firings",
    metadata,
    identifier(primary_key=True),
    Column("trigger_id", String(36), nullable=False),
    Column("workflow_id", String(36), nullable=False),
    Column("start_key", String(255), nullable=False),
    instant("due_at"),
    Column("decision", String(16), nullable=False),
    Column("reason", Text),
    Column("run_id", String(36)),
    instant("at", nullable=False),
    CheckConstraint("decision in ('started', 'skipped', 'refused', 'missed', 'failed')", name="decision"),
    Index("ix_firings_trigger_id_id", "trigger_id", "id"),
    Index("ix_firings_workflow_id_id", "workflow_id", "id"),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    identifier(primary_key=True),
    Column("type", String(255), nullable=False),
    Column("source", String(255), nullable=False),
    Column("subject", String(255)),
    Column("data", Text),
    Column("run_id", String(36)),
    Column("task_path", String(512)),
    Column("causation_depth", Integer, nullable=False, server_default="0"),
    instant("at", nullable=False),
    Index("ix_events_type_id", "type", "id"),
    sqlite_with_rowid=False,
)
