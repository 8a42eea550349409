"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("incarnation_id", sa.String(length=36), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("timeout_us", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("available_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(finished_at is not null) = ((status = 'cancelled' or status = 'completed' or status = 'failed' or status = 'lost'))",
            name=op.f("ck_attempts_finished"),
        ),
        sa.CheckConstraint(
            "(status = 'cancelled' or status = 'completed' or status = 'failed' or status = 'lost' or status = 'running' or status = 'scheduled')",
            name=op.f("ck_attempts_status"),
        ),
        sa.PrimaryKeyConstraint("run_id", "path", "number", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_attempts_incarnation",
        "attempts",
        ["incarnation_id"],
        unique=False,
        sqlite_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "uq_attempts_live",
        "attempts",
        ["run_id", "path"],
        unique=True,
        sqlite_where=sa.text("finished_at is null"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_inbox_run_id", "inbox", ["run_id"], unique=False)
    op.create_table(
        "incarnations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lost_at", sa.BigInteger(), nullable=True),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incarnations")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_incarnations_live",
        "incarnations",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("lost_at is null and retired_at is null"),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "limits",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_limits")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "logs",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(level = 'debug' or level = 'error' or level = 'info' or level = 'warning')", name=op.f("ck_logs_level")
        ),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_logs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "records",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_records")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workflow_id", sa.String(length=36), nullable=False),
        sa.Column("version_id", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("wind_up", sa.String(length=16), nullable=True),
        sa.Column("cancels", sa.Integer(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_log", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("trigger_type", sa.String(length=32), nullable=False),
        sa.Column("trigger_id", sa.String(length=64), nullable=True),
        sa.Column("triggered_by", sa.String(length=36), nullable=True),
        sa.Column("trigger_data", sa.Text(), server_default="{}", nullable=False),
        sa.Column("input", sa.Text(), server_default="{}", nullable=False),
        sa.Column("variables", sa.Text(), server_default="{}", nullable=False),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.String(length=255), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("admission_key", sa.String(length=255), nullable=True),
        sa.Column("admission_limit", sa.Integer(), nullable=True),
        sa.Column("admitted_at", sa.BigInteger(), nullable=True),
        sa.Column("root_run_id", sa.String(length=36), nullable=False),
        sa.Column("parent_run_id", sa.String(length=36), nullable=True),
        sa.Column("retry_of", sa.String(length=36), nullable=True),
        sa.Column("causation_depth", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cancelled_by", sa.String(length=36), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(finished_at is not null) = ((status = 'cancelled' or status = 'completed' or status = 'failed'))",
            name=op.f("ck_runs_finished"),
        ),
        sa.CheckConstraint(
            "outcome is null or (outcome = 'cancelled' or outcome = 'completed' or outcome = 'failed')",
            name=op.f("ck_runs_outcome"),
        ),
        sa.CheckConstraint(
            "(phase = 'finally' or phase = 'main' or phase = 'on_failure' or phase = 'rollback')",
            name=op.f("ck_runs_phase"),
        ),
        sa.CheckConstraint(
            "(status = 'cancelled' or status = 'cancelling' or status = 'completed' or status = 'failed' or status = 'paused' or status = 'pending' or status = 'running' or status = 'waiting')",
            name=op.f("ck_runs_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_runs_admitted",
        "runs",
        ["admission_key"],
        unique=False,
        sqlite_where=sa.text("admission_key is not null and admitted_at is not null and finished_at is null"),
    )
    op.create_index(
        "ix_runs_correlation_id_id",
        "runs",
        ["correlation_id", "id"],
        unique=False,
        sqlite_where=sa.text("correlation_id is not null"),
    )
    op.create_index("ix_runs_status_id", "runs", ["status", "id"], unique=False)
    op.create_index("ix_runs_workflow_id_id", "runs", ["workflow_id", "id"], unique=False)
    op.create_table(
        "start_keys",
        sa.Column("namespace", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "scope", "key", name=op.f("pk_start_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_start_keys_expires_at", "start_keys", ["expires_at"], unique=False)
    op.create_table(
        "task_runs",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("live", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skip_reason", sa.String(length=16), nullable=True),
        sa.Column("input", sa.Text(), nullable=True),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("worker", sa.String(length=36), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("ready_at", sa.BigInteger(), nullable=True),
        sa.Column("available_at", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(finished_at is not null) = ((status = 'cancelled' or status = 'completed' or status = 'failed' or status = 'skipped'))",
            name=op.f("ck_task_runs_finished"),
        ),
        sa.CheckConstraint(
            "(status = 'cancelled' or status = 'cancelling' or status = 'completed' or status = 'failed' or status = 'pending' or status = 'ready' or status = 'running' or status = 'skipped' or status = 'waiting')",
            name=op.f("ck_task_runs_status"),
        ),
        sa.PrimaryKeyConstraint("run_id", "path", name=op.f("pk_task_runs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "timers",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("fire_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "kind", name=op.f("pk_timers")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_timers_fire_at", "timers", ["fire_at"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "workflows",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("slug", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("category", sa.String(length=255), nullable=True),
        sa.Column("labels", sa.Text(), server_default="{}", nullable=False),
        sa.Column("metadata", sa.Text(), server_default="{}", nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("newest_version", sa.Integer(), nullable=False),
        sa.Column("deployed_version", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.String(length=36), nullable=True),
        sa.Column("updated_by", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "status in ('draft', 'active', 'paused', 'inactive', 'archived')", name=op.f("ck_workflows_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflows")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_workflows_name_live",
        "workflows",
        ["name"],
        unique=True,
        sqlite_where=sa.text("deleted_at is null"),
    )
    op.create_index(
        "uq_workflows_slug_live",
        "workflows",
        ["slug"],
        unique=True,
        sqlite_where=sa.text("deleted_at is null"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "workflow_versions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workflow_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=True),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=36), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_workflow_versions_workflow_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_versions")),
        sa.UniqueConstraint("workflow_id", "number", name=op.f("uq_workflow_versions_workflow_id_number")),
        sa.UniqueConstraint("workflow_id", "tag", name=op.f("uq_workflow_versions_workflow_id_tag")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_attempts_queue",
        "attempts",
        ["queue", sa.text("priority desc"), "available_at"],
        sqlite_where=sa.text("status = 'scheduled'"),
    )
    op.create_index(
        "ix_runs_unadmitted",
        "runs",
        ["admission_key", sa.text("priority desc"), "id"],
        sqlite_where=sa.text("admission_key is not null and admitted_at is null and finished_at is null"),
    )


def downgrade() -> None:
    op.drop_table("workflow_versions")
    op.drop_table("api_keys")
    op.drop_index(
        "uq_workflows_slug_live",
        table_name="workflows",
        sqlite_where=sa.text("deleted_at is null"),
    )
    op.drop_index(
        "uq_workflows_name_live",
        table_name="workflows",
        sqlite_where=sa.text("deleted_at is null"),
    )
    op.drop_table("workflows")
    op.drop_table("users")
    op.drop_index("ix_timers_fire_at", table_name="timers")
    op.drop_table("timers")
    op.drop_table("task_runs")
    op.drop_index("ix_start_keys_expires_at", table_name="start_keys")
    op.drop_table("start_keys")
    op.drop_index("ix_runs_workflow_id_id", table_name="runs")
    op.drop_index("ix_runs_status_id", table_name="runs")
    op.drop_index(
        "ix_runs_correlation_id_id",
        table_name="runs",
        sqlite_where=sa.text("correlation_id is not null"),
    )
    op.drop_index(
        "ix_runs_admitted",
        table_name="runs",
        sqlite_where=sa.text("admission_key is not null and admitted_at is not null and finished_at is null"),
    )
    op.drop_table("runs")
    op.drop_table("records")
    op.drop_table("logs")
    op.drop_table("limits")
    op.drop_table("installation")
    op.drop_index(
        "ix_incarnations_live",
        table_name="incarnations",
        sqlite_where=sa.text("lost_at is null and retired_at is null"),
    )
    op.drop_table("incarnations")
    op.drop_index("ix_inbox_run_id", table_name="inbox")
    op.drop_table("inbox")
    op.drop_index(
        "uq_attempts_live",
        table_name="attempts",
        sqlite_where=sa.text("finished_at is null"),
    )
    op.drop_index(
        "ix_attempts_incarnation",
        table_name="attempts",
        sqlite_where=sa.text("status = 'running'"),
    )
    op.drop_table("attempts")
