"""Triggers, how they are found, what became of each time one fired, events from outside, and backfills."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

from millrace.storage.tables.base import identifier, instant, metadata, short, where

triggers = Table(
    "triggers",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", short(36), ForeignKey("workflows.id"), nullable=False),
    Column("origin", short(16), nullable=False),
    Column("name", short(255), nullable=False),
    Column("type", short(32), nullable=False),
    Column("declared", Boolean, nullable=False, server_default=true()),
    Column("enabled", Boolean, nullable=False),
    Column("active", Boolean, nullable=False, server_default=false()),
    Column("condition", Text),
    Column("config", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("version_id", short(36)),
    Column("jitter_us", BigInteger, nullable=False, server_default="0"),
    instant("next_due_at"),
    instant("decided_until"),
    instant("last_fired_at"),
    Column("last_run_id", short(36)),
    Column("last_error", Text),
    Column("fired_count", BigInteger, nullable=False, server_default="0"),
    Column("started_count", BigInteger, nullable=False, server_default="0"),
    Column("failed_count", BigInteger, nullable=False, server_default="0"),
    Column("missed_count", BigInteger, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="1"),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    CheckConstraint("origin in ('definition', 'api')", name="origin"),
    UniqueConstraint("workflow_id", "origin", "name"),
    Index("ix_triggers_wake", text("(next_due_at + jitter_us)"), **where("next_due_at is not null")),
    Index("ix_triggers_type_id", "type", "id"),
    Index("ix_triggers_awaiting", "id", **where("next_due_at is null and active and type || '' = 'interval'")),
    sqlite_with_rowid=False,
)  # fmt: skip
"""`name` is the id of the trigger in its definition.

`declared` is what the definition says about `enabled`; `enabled` is what holds, for a user may say otherwise; `active`
holds while it may fire: it is enabled, and its workflow is active and deployed. `next_due_at` is null for whatever
fires nothing by itself now; the scheduler acts `jitter_us` later. All due times up to `decided_until` are decided.
`revision` grows with every change but for the start of a run, so that what was decided on an older row is refused.
An interval that is active without `next_due_at` waits for its last run to end, or its schedule is at an end. (Its type
is an expression in that index: SQLite would take the one by type, in which are all intervals.)
"""

trigger_routes = Table(
    "trigger_routes",
    metadata,
    Column("kind", short(16), primary_key=True),
    Column("key", short(512), primary_key=True),
    Column("trigger_id", short(36), primary_key=True),
    Column("workflow_id", short(36), nullable=False),
    CheckConstraint("kind in ('webhook', 'event')", name="kind"),
    Index("uq_trigger_routes_webhook", "key", unique=True, **where("kind = 'webhook'")),
    Index("ix_trigger_routes_trigger_id", "trigger_id"),
    sqlite_with_rowid=False,
)
"""By what a trigger is found when something happens: the path of a webhook, which belongs to one trigger, or types of
events. Silent triggers have their routes, too, so that nobody takes their paths meanwhile."""

firings = Table(
    "firings",
    metadata,
    identifier(primary_key=True),
    Column("trigger_id", short(36), nullable=False),
    Column("workflow_id", short(36), nullable=False),
    Column("start_key", short(255), nullable=False),
    instant("due_at"),
    instant("due_until"),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("decision", short(16), nullable=False),
    Column("reason", Text),
    Column("run_id", short(36)),
    instant("at", nullable=False),
    CheckConstraint("decision in ('started', 'skipped', 'refused', 'missed', 'failed')", name="decision"),
    Index("ix_firings_trigger_id_id", "trigger_id", "id"),
    Index("ix_firings_workflow_id_id", "workflow_id", "id"),
    sqlite_with_rowid=False,
)
"""What became of a time at which a trigger fired. `missed`: of `count` due times, from `due_at` to `due_until`."""

events = Table(
    "events",
    metadata,
    identifier(primary_key=True),
    Column("type", short(255), nullable=False),
    Column("source", short(255), nullable=False),
    Column("subject", short(255)),
    Column("data", Text),
    Column("run_id", short(36)),
    Column("task_path", short(512)),
    Column("causation_depth", Integer, nullable=False, server_default="0"),
    instant("at", nullable=False),
    Column("external_id", short(255)),
    instant("occurred_at"),
    Column("attributes", Text),
    instant("told_at"),
    instant("routed_at"),
    UniqueConstraint("run_id", "task_path"),
    Index("ix_events_type_id", "type", "id"),
    Index("ix_events_unrouted", "id", **where("routed_at is null")),
    Index("uq_events_source_external_id", "source", "external_id", unique=True, **where("external_id is not null")),
    sqlite_with_rowid=False,
)
"""A task run publishes one event at most; events from outside have neither run nor task, and may have an id that their
source gave them (`external_id`). `told_at`: when tasks that waited for it were told. One with no `routed_at` has tasks
yet to be told, or triggers to start."""

backfills = Table(
    "backfills",
    metadata,
    identifier(primary_key=True),
    Column("trigger_id", short(36), nullable=False),
    Column("workflow_id", short(36), nullable=False),
    Column("schedule", Text, nullable=False),
    instant("range_from", nullable=False),
    instant("range_until", nullable=False),
    Column("at_once", Integer, nullable=False),
    Column("again", Boolean, nullable=False),
    Column("stop_on_failure", Boolean, nullable=False),
    Column("status", short(16), nullable=False),
    Column("reason", Text),
    Column("total", Integer, nullable=False),
    instant("decided_until", nullable=False),
    Column("under_way", Text, nullable=False, server_default="[]"),
    Column("fired_before", Integer, nullable=False, server_default="0"),
    Column("started", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("completed", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("created_by", short(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("finished_at"),
    CheckConstraint("status in ('running', 'paused', 'completed', 'cancelled', 'failed')", name="status"),
    Index("ix_backfills_trigger_id_id", "trigger_id", "id"),
    Index("ix_backfills_open", "id", **where("finished_at is null")),
    sqlite_with_rowid=False,
)
"""Due times of the past that a schedule is to make up for, at most `at_once` at a time. All up to `decided_until` are
decided; `under_way` lists the runs that have not been seen to finish. `schedule` is what the trigger said when this was
asked for: another schedule has other due times.
"""
