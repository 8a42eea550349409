"""Runs and all that the engine and the workers write about them.

The CHECKs and partial indexes say in SQL what the core guarantees in Python. Tables that the engine writes are keyed
by run id first, so that the rows of a run lie together.
"""

from typing import get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
    text,
)

from millrace.core.plan import Phase
from millrace.core.states import (
    FINISHED_ATTEMPT,
    FINISHED_RUN,
    FINISHED_TASK,
    AttemptStatus,
    RunStatus,
    TaskStatus,
)
from millrace.ports.runner import LogLevel
from millrace.storage.tables.base import (
    finished_exactly_when,
    identifier,
    instant,
    metadata,
    one_of,
    only_on_postgres,
    possible,
    short,
    where,
)

ADMITTED_RUN = "admission_key is not null and admitted_at is not null and finished_at is null"
UNADMITTED_RUN = "admission_key is not null and admitted_at is null and finished_at is null"
NOT_COMPLETED = f"status <> '{RunStatus.COMPLETED.value}'"
"""A completed run leaves the index of statuses for good, and so it stays small however many there are."""
ENDED_BADLY = f"status in ('{RunStatus.FAILED.value}', '{RunStatus.CANCELLED.value}')"

runs = Table(
    "runs",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", short(36), nullable=False),
    Column("version_id", short(36), nullable=False),
    Column("status", short(16), nullable=False),
    Column("phase", short(16), nullable=False),
    Column("outcome", short(16)),
    Column("wind_up", short(16)),
    Column("cancels", Integer, nullable=False, server_default="0"),
    Column("revision", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_log", BigInteger, nullable=False, server_default="0"),
    Column("trigger_type", short(32), nullable=False),
    Column("trigger_id", short(64)),
    Column("triggered_by", short(36)),
    Column("trigger_data", Text, nullable=False, server_default="{}"),
    Column("input", Text, nullable=False, server_default="{}"),
    Column("variables", Text, nullable=False, server_default="{}"),
    Column("output", Text),
    Column("error", Text),
    Column("correlation_id", short(255)),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("admission_key", short(255)),
    Column("admission_limit", Integer),
    instant("admitted_at"),
    instant("run_at"),
    Column("when_full", short(16)),
    Column("rate_key", short(255)),
    Column("rate_limit", Integer),
    Column("rate_period_us", BigInteger),
    Column("root_run_id", short(36), nullable=False),
    Column("parent_run_id", short(36)),
    Column("parent_path", short(512)),
    Column("retry_of", short(36)),
    Column("causation_depth", Integer, nullable=False, server_default="0"),
    Column("cancelled_by", short(36)),
    instant("cancelled_at"),
    instant("created_at", nullable=False),
    instant("started_at"),
    instant("finished_at"),
    instant("payloads_deleted_at"),
    Column("signals", Text),
    Column("ahead", Text),
    *possible(
        "is_possible_run",
        "status, phase, outcome, finished_at",
        status=one_of("status", RunStatus),
        phase=one_of("phase", Phase),
        outcome=f"outcome is null or {one_of('outcome', FINISHED_RUN)}",
        finished=finished_exactly_when(FINISHED_RUN),
    ),
    Index("ix_runs_workflow_id_id", "workflow_id", "id"),
    Index("ix_runs_status_id", "status", "id", **where(NOT_COMPLETED)),
    Index("ix_runs_ended_badly", "workflow_id", "id", "status", **where(ENDED_BADLY)),
    Index("ix_runs_root_run_id", "root_run_id", **where("root_run_id <> id")),
    Index("ix_runs_parent_run_id_id", "parent_run_id", "id", **where("parent_run_id is not null")),
    Index("ix_runs_correlation_id_id", "correlation_id", "id",
          **where("correlation_id is not null")),
    Index("ix_runs_admitted", "admission_key", **where(ADMITTED_RUN)),
    Index("ix_runs_unadmitted", "admission_key", "rate_key", text("priority desc"), "id",
          **where(UNADMITTED_RUN)),
    sqlite_with_rowid=False,
)  # fmt: skip

task_runs = Table(
    "task_runs",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("path", short(512), primary_key=True),
    Column("type", short(64), nullable=False),
    Column("status", short(16), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("live", Boolean, nullable=False, server_default=false()),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("skip_reason", short(16)),
    Column("input", Text),
    Column("output", Text),
    Column("error", Text),
    Column("worker", short(36)),
    Column("adopted_from", short(36)),
    Column("revision", BigInteger, nullable=False),
    instant("ready_at"),
    instant("available_at"),
    instant("started_at"),
    instant("finished_at"),
    Column("block", Text),
    Column("size", Integer),
    Column("awaits", Text),
    Column("child_run_id", short(36)),
    *possible(
        "is_possible_task_run",
        "status, finished_at",
        status=one_of("status", TaskStatus),
        finished=finished_exactly_when(FINISHED_TASK),
    ),
    sqlite_with_rowid=False,
)

SCHEDULED = f"status = '{AttemptStatus.SCHEDULED.value}'"
RUNNING = f"status = '{AttemptStatus.RUNNING.value}'"
LIVE = "finished_at is null"

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("path", short(512), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("token", short(36), nullable=False),
    Column("status", short(16), nullable=False),
    Column("queue", short(64), nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("incarnation_id", short(36)),
    Column("error", Text),
    Column("limit_key", short(255)),
    Column("limit_size", Integer),
    # The key of an agent has its name in it; on SQLite the length says nothing.
    Column("type_key", String(64).with_variant(String(128, collation="C"), "postgresql")),
    Column("timeout_us", BigInteger),
    instant("queue_until"),
    instant("expires_at"),
    instant("available_at", nullable=False),
    instant("deadline_at"),
    instant("started_at"),
    instant("finished_at"),
    *possible(
        "is_possible_attempt",
        "status, finished_at",
        status=one_of("status", AttemptStatus),
        finished=finished_exactly_when(FINISHED_ATTEMPT),
    ),
    Index("uq_attempts_live", "run_id", "path", unique=True, **where(LIVE)),
    Index("ix_attempts_queue", "queue", text("priority desc"), "available_at",
          sqlite_where=text(SCHEDULED),
          postgresql_where=text(f"{SCHEDULED} and limit_key is null and type_key is null")),
    *only_on_postgres(
        Index("ix_attempts_available_at", "available_at", **where(SCHEDULED)),
        Index("ix_attempts_limit_running", "limit_key", **where(f"limit_key is not null and {RUNNING}")),
        Index("ix_attempts_limit_size", "limit_key", "limit_size",
              **where("limit_key is not null and finished_at is null")),
        Index("ix_attempts_type_running", "type_key", **where(f"type_key is not null and {RUNNING}")),
    ),
    Index("ix_attempts_limit_key", "limit_key", text("priority desc"), "available_at",
          **where("limit_key is not null and finished_at is null")),
    Index("ix_attempts_type_key", "type_key", text("priority desc"), "available_at",
          **where("type_key is not null and finished_at is null")),
    Index("ix_attempts_queue_until", "queue_until",
          **where(f"{SCHEDULED} and queue_until is not null")),
    Index("ix_attempts_incarnation", "incarnation_id", **where(RUNNING)),
    sqlite_with_rowid=False,
)  # fmt: skip

records = Table(
    "records",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("type", short(64), nullable=False),
    Column("path", short(512)),
    Column("data", Text),
    instant("at", nullable=False),
    sqlite_with_rowid=False,
)

logs = Table(
    "logs",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("path", short(512)),
    Column("attempt", Integer),
    Column("level", short(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("metadata", Text),
    instant("at", nullable=False),
    CheckConstraint(one_of("level", get_args(LogLevel)), name="level"),
    sqlite_with_rowid=False,
)

timers = Table(
    "timers",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("kind", short(32), primary_key=True),
    instant("fire_at", nullable=False),
    Index("ix_timers_fire_at", "fire_at"),
    sqlite_with_rowid=False,
)

waits = Table(
    "waits",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("path", short(512), primary_key=True),
    Column("kind", short(32)),
    Column("request", Text),
    Column("child_run_id", short(36)),
    Column("wanted", Boolean, nullable=False, server_default=false()),
    instant("fire_at"),
    instant("created_at", nullable=False),
    Index("ix_waits_fire_at", "fire_at", **where("fire_at is not null")),
    Index("ix_waits_wanted", "run_id", "path", **where("wanted")),
    Index("ix_waits_approvals", "created_at", "run_id", "path", **where("kind = 'approval'")),
    sqlite_with_rowid=False,
)
"""What tasks wait for that no worker runs, and when their time is over. Without a `kind` only their time is looked at.
`wanted`: the run of a sub-workflow is still to be started."""

wait_routes = Table(
    "wait_routes",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("path", short(512), primary_key=True),
    Column("route", short(255), primary_key=True),
    Column("correlation", short(512), nullable=False),
    Index("ix_wait_routes_route", "route", "correlation", "run_id", "path"),
    sqlite_with_rowid=False,
)
"""By which types of events a waiting task is found, and by which correlation key; without one by the empty text."""

test_runs = Table(
    "test_runs",
    metadata,
    Column("run_id", short(36), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("terms", Text, nullable=False),
    instant("created_at", nullable=False),
    sqlite_with_rowid=False,
)
"""What a test run does in place of its version: the definition that was derived from it, and which tasks are mocked."""

inbox = Table(
    "inbox",
    metadata,
    identifier(primary_key=True),
    Column("run_id", short(36), nullable=False),
    Column("kind", short(32), nullable=False),
    Column("data", Text, nullable=False),
    instant("created_at", nullable=False),
    Index("ix_inbox_run_id", "run_id"),
    sqlite_with_rowid=False,
)

start_keys = Table(
    "start_keys",
    metadata,
    Column("namespace", short(16), primary_key=True),
    Column("scope", short(64), primary_key=True),
    Column("key", short(255), primary_key=True),
    Column("request_hash", short(64), nullable=False),
    Column("run_id", short(36), nullable=False),
    instant("expires_at", nullable=False),
    Index("ix_start_keys_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

limits = Table(
    "limits",
    metadata,
    Column("key", short(255), primary_key=True),
    instant("next_free_at"),
    sqlite_with_rowid=False,
)
"""Admission locks a key's row. `next_free_at` is the theoretical arrival time of a rate limit (GCRA)."""

incarnations = Table(
    "incarnations",
    metadata,
    identifier(primary_key=True),
    Column("host", short(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    instant("started_at", nullable=False),
    instant("heartbeat_at", nullable=False),
    instant("lease_until", nullable=False),
    instant("lost_at"),
    instant("retired_at"),
    Index("ix_incarnations_live", "lease_until", **where("lost_at is null and retired_at is null")),
    sqlite_with_rowid=False,
)  # fmt: skip
