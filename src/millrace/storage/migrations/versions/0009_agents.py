"""Agents: services that tasks call, and the history of their health."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    _agents()
    op.create_table(
        "agent_checks",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("agent_id", sa.String(36), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("healthy", sa.Boolean(), nullable=False),
        sa.Column("http_status", sa.Integer()),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_checks")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_agent_checks_agent_id_id", "agent_checks", ["agent_id", "id"])


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("auth_type", sa.String(16), nullable=False),
        sa.Column("auth_config", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text()),
        sa.Column("key_id", sa.String(64)),
        sa.Column("timeout_ms", sa.Integer(), nullable=False),
        sa.Column("retry_config", sa.Text(), nullable=False),
        sa.Column("max_concurrent", sa.Integer()),
        sa.Column("health_path", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("health", sa.String(16), server_default="unknown", nullable=False),
        sa.Column("health_message", sa.Text()),
        sa.Column("health_latency_ms", sa.Integer()),
        sa.Column("health_checked_at", sa.BigInteger()),
        sa.Column("health_claimed_at", sa.BigInteger()),
        sa.Column("circuit_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("circuit_open_until", sa.BigInteger()),
        sa.Column("circuit_trial_until", sa.BigInteger()),
        sa.Column("created_by", sa.String(36)),
        sa.Column("updated_by", sa.String(36)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status in ('active', 'inactive', 'deleted')", name=op.f("ck_agents_status")),
        sa.CheckConstraint("auth_type in ('none', 'bearer', 'apikey')", name=op.f("ck_agents_auth_type")),
        sa.CheckConstraint("health in ('unknown', 'healthy', 'unhealthy')", name=op.f("ck_agents_health")),
        sa.CheckConstraint("status <> 'deleted' or sealed is null", name=op.f("ck_agents_forgotten")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sqlite_with_rowid=False,
    )
    op.create_index("uq_agents_name", "agents", ["name"], unique=True, sqlite_where=sa.text("status <> 'deleted'"))
    op.create_index("ix_agents_name_id", "agents", ["name", "id"])


def downgrade() -> None:
    op.drop_table("agent_checks")
    op.drop_table("agents")
