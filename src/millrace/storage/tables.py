"""All tables, in one MetaData. The CHECKs and partial indexes say in SQL what the core guarantees in Python.

Instants are BIGINT microseconds since the Unix epoch (UTC), ids UUIDv7 in text form, JSON is text written by
`storage.mapping` alone: the same on both databases, cheap on the hot path, ordered by creation. Tables that the
engine writes are keyed by run id first, so that the rows of a run lie together.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
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

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, values: Iterable[str]) -> str:
    """Spelled out, for SQLite builds a temporary table for each longer `in (…)`, at every row a CHECK looks at."""
    return "(" + " or ".join(f"{column} = '{value}'" for value in sorted(values)) + ")"


def finished_exactly_when(finished: Iterable[StrEnum]) -> CheckConstraint:
    return CheckConstraint(f"(finished_at is not null) = ({one_of('status', finished)})", name="finished")


def identifier(name: str = "id", *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, String(36), primary_key=primary_key, nullable=nullable and not primary_key)


def instant(name: str, *, nullable: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


installation = Table(
    "installation",
    metadata,
    identifier(primary_key=True),
    instant("created_at", nullable=False),
    sqlite_with_rowid=False,
)

users = Table(
    "users",
    metadata,
    identifier(primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("name", String(255), nullable=False),
    Column("role", String(32), nullable=False),
    instant("created_at", nullable=False),
    instant("disabled_at"),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    identifier(primary_key=True),
    Column("user_id", String(36), ForeignKey("users.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    instant("created_at", nullable=False),
    instant("expires_at"),
    instant("revoked_at"),
    instant("last_used_at"),
    sqlite_with_rowid=False,
)

workflows = Table(
    "workflows",
    metadata,
    identifier(primary_key=True),
    Column("name", String(255), nullable=False),
    Column("slug", String(255), nullable=False),
    Column("description", Text),
    Column("category", String(255)),
    Column("labels", Text, nullable=False, server_default="{}"),
    Column("metadata", Text, nullable=False, server_default="{}"),
    Column("owner", String(255)),
    Column("status", String(16), nullable=False),
    Column("newest_version", Integer, nullable=False),
    Column("deployed_version", Integer),
    Column("created_by", String(36)),
    Column("updated_by", String(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("deleted_at"),
    CheckConstraint("status in ('draft', 'active', 'paused', 'inactive', 'archived')", name="status"),
    Index("uq_workflows_name_live", "name", unique=True, sqlite_where=text("deleted_at is null")),
    Index("uq_workflows_slug_live", "slug", unique=True, sqlite_where=text("deleted_at is null")),
    sqlite_with_rowid=False,
)  # fmt: skip

workflow_versions = Table(
    "workflow_versions",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", String(36), ForeignKey("workflows.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("tag", String(64)),
    Column("definition", Text, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("author", String(36)),
    Column("comment", Text),
    instant("created_at", nullable=False),
    UniqueConstraint("workflow_id", "number"),
    UniqueConstraint("workflow_id", "tag"),
    sqlite_with_rowid=False,
)

ADMITTED_RUN = "admission_key is not null and admitted_at is not null and finished_at is null"
UNADMITTED_RUN = "admission_key is not null and admitted_at is null and finished_at is null"

runs = Table(
    "runs",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", String(36), nullable=False),
    Column("version_id", String(36), nullable=False),
    Column("status", String(16), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("outcome", String(16)),
    Column("wind_up", String(16)),
    Column("cancels", Integer, nullable=False, server_default="0"),
    Column("revision", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_log", BigInteger, nullable=False, server_default="0"),
    Column("trigger_type", String(32), nullable=False),
    Column("trigger_id", String(64)),
    Column("triggered_by", String(36)),
    Column("trigger_data", Text, nullable=False, server_default="{}"),
    Column("input", Text, nullable=False, server_default="{}"),
    Column("variables", Text, nullable=False, server_default="{}"),
    Column("output", Text),
    Column("error", Text),
    Column("correlation_id", String(255)),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("admission_key", String(255)),
    Column("admission_limit", Integer),
    instant("admitted_at"),
    Column("root_run_id", String(36), nullable=False),
    Column("parent_run_id", String(36)),
    Column("retry_of", String(36)),
    Column("causation_depth", Integer, nullable=False, server_default="0"),
    Column("cancelled_by", String(36)),
    instant("cancelled_at"),
    instant("created_at", nullable=False),
    instant("started_at"),
    instant("finished_at"),
    CheckConstraint(one_of("status", RunStatus), name="status"),
    CheckConstraint(one_of("phase", Phase), name="phase"),
    CheckConstraint(f"outcome is null or {one_of('outcome', FINISHED_RUN)}", name="outcome"),
    finished_exactly_when(FINISHED_RUN),
    Index("ix_runs_workflow_id_id", "workflow_id", "id"),
    Index("ix_runs_status_id", "status", "id"),
    Index("ix_runs_correlation_id_id", "correlation_id", "id",
          sqlite_where=text("correlation_id is not null")),
    Index("ix_runs_admitted", "admission_key", sqlite_where=text(ADMITTED_RUN)),
    Index("ix_runs_unadmitted", "admission_key", text("priority desc"), "id",
          sqlite_where=text(UNADMITTED_RUN)),
    sqlite_with_rowid=False,
)  # fmt: skip

task_runs = Table(
    "task_runs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("path", String(512), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("live", Boolean, nullable=False, server_default=false()),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("skip_reason", String(16)),
    Column("input", Text),
    Column("output", Text),
    Column("error", Text),
    Column("worker", String(36)),
    Column("revision", BigInteger, nullable=False),
    instant("ready_at"),
    instant("available_at"),
    instant("started_at"),
    instant("finished_at"),
    CheckConstraint(one_of("status", TaskStatus), name="status"),
    finished_exactly_when(FINISHED_TASK),
    sqlite_with_rowid=False,
)

SCHEDULED = f"status = '{AttemptStatus.SCHEDULED.value}'"
RUNNING = f"status = '{AttemptStatus.RUNNING.value}'"
LIVE = "finished_at is null"

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("path", String(512), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("token", String(36), nullable=False),
    Column("status", String(16), nullable=False),
    Column("queue", String(64), nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("incarnation_id", String(36)),
    Column("error", Text),
    Column("timeout_us", BigInteger),
    instant("expires_at"),
    instant("available_at", nullable=False),
    instant("deadline_at"),
    instant("started_at"),
    instant("finished_at"),
    CheckConstraint(one_of("status", AttemptStatus), name="status"),
    finished_exactly_when(FINISHED_ATTEMPT),
    Index("uq_attempts_live", "run_id", "path", unique=True, sqlite_where=text(LIVE)),
    Index("ix_attempts_queue", "queue", text("priority desc"), "available_at",
          sqlite_where=text(SCHEDULED)),
    Index("ix_attempts_incarnation", "incarnation_id", sqlite_where=text(RUNNING)),
    sqlite_with_rowid=False,
)  # fmt: skip

records = Table(
    "records",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("type", String(64), nullable=False),
    Column("path", String(512)),
    Column("data", Text),
    instant("at", nullable=False),
    sqlite_with_rowid=False,
)

logs = Table(
    "logs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("path", String(512)),
    Column("attempt", Integer),
    Column("level", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("metadata", Text),
    instant("at", nullable=False),
    CheckConstraint(one_of("level", get_args(LogLevel)), name="level"),
    sqlite_with_rowid=False,
)

timers = Table(
    "timers",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("kind", String(32), primary_key=True),
    instant("fire_at", nullable=False),
    Index("ix_timers_fire_at", "fire_at"),
    sqlite_with_rowid=False,
)

inbox = Table(
    "inbox",
    metadata,
    identifier(primary_key=True),
    Column("run_id", String(36), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("data", Text, nullable=False),
    instant("created_at", nullable=False),
    Index("ix_inbox_run_id", "run_id"),
    sqlite_with_rowid=False,
)

start_keys = Table(
    "start_keys",
    metadata,
    Column("namespace", String(16), primary_key=True),
    Column("scope", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("run_id", String(36), nullable=False),
    instant("expires_at", nullable=False),
    Index("ix_start_keys_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

limits = Table(
    "limits",
    metadata,
    Column("key", String(255), primary_key=True),
    sqlite_with_rowid=False,
)

incarnations = Table(
    "incarnations",
    metadata,
    identifier(primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    instant("started_at", nullable=False),
    instant("heartbeat_at", nullable=False),
    instant("lease_until", nullable=False),
    instant("lost_at"),
    instant("retired_at"),
    Index("ix_incarnations_live", "lease_until", sqlite_where=text("lost_at is null and retired_at is null")),
    sqlite_with_rowid=False,
)  # fmt: skip
