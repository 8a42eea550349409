"""Registered HTTP services that tasks call, and what came of looking whether they are well."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Table, Text

from millrace.storage.tables.base import identifier, instant, metadata, short, where

agents = Table(
    "agents",
    metadata,
    identifier(primary_key=True),
    Column("name", short(100), nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("auth_type", short(16), nullable=False),
    Column("auth_config", Text, nullable=False),
    Column("sealed", Text),
    Column("key_id", short(64)),
    Column("timeout_ms", Integer, nullable=False),
    Column("retry_config", Text, nullable=False),
    Column("max_concurrent", Integer),
    Column("health_path", Text, nullable=False),
    Column("status", short(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("health", short(16), nullable=False, server_default="unknown"),
    Column("health_message", Text),
    Column("health_latency_ms", Integer),
    instant("health_checked_at"),
    instant("health_claimed_at"),
    Column("circuit_failures", Integer, nullable=False, server_default="0"),
    instant("circuit_open_until"),
    instant("circuit_trial_until"),
    Column("created_by", short(36)),
    Column("updated_by", short(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    CheckConstraint("status in ('active', 'inactive', 'deleted')", name="status"),
    CheckConstraint("auth_type in ('none', 'bearer', 'apikey')", name="auth_type"),
    CheckConstraint("health in ('unknown', 'healthy', 'unhealthy')", name="health"),
    CheckConstraint("status <> 'deleted' or sealed is null", name="forgotten"),
    Index("uq_agents_name", "name", unique=True, **where("status <> 'deleted'")),
    Index("ix_agents_name_id", "name", "id"),
    sqlite_with_rowid=False,
)
"""`auth_config` is what may be shown; what may not is in `sealed`. Who is about to look at an agent's health says so in
`health_claimed_at`. Without `circuit_open_until` the circuit is closed; once that is over, calls are tried one at a
time, each of which has until `circuit_trial_until`. A deleted agent keeps its row and its history, and no credentials.
"""

agent_checks = Table(
    "agent_checks",
    metadata,
    identifier(primary_key=True),
    Column("agent_id", short(36), nullable=False),
    Column("asked", Boolean, nullable=False),
    Column("healthy", Boolean, nullable=False),
    Column("http_status", Integer),
    Column("latency_ms", Integer, nullable=False),
    Column("message", Text),
    instant("at", nullable=False),
    Index("ix_agent_checks_agent_id_id", "agent_id", "id"),
    sqlite_with_rowid=False,
)
"""`asked`: somebody wanted to know; all others were due."""
