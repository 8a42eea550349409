"""The tables of the whole main job: versions deployed, triggers, secrets, artifacts, limits, operations."""

import json
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


NOTE_NEW_RUN = """
create trigger note_new_run after insert on runs when new.last_seq > 0 begin
  insert into changes (run_id, first_seq, last_seq) values (new.id, 1, new.last_seq);
end"""

NOTE_CHANGED_RUN = """
create trigger note_changed_run after update of last_seq on runs when new.last_seq > old.last_seq begin
  insert into changes (run_id, first_seq, last_seq) values (new.id, old.last_seq + 1, new.last_seq);
end"""


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("media_type", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("object_key", sa.String(length=512), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("root_run_id", sa.String(length=36), nullable=True),
        sa.Column("path", sa.String(length=512), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_artifacts_expires_at",
        "artifacts",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at is not null"),
    )
    op.create_index(
        "ix_artifacts_run_id_id",
        "artifacts",
        ["run_id", "id"],
        unique=False,
        sqlite_where=sa.text("run_id is not null"),
    )
    op.create_table(
        "connections",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=36), nullable=True),
        sa.Column("updated_by", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_connections")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deletions",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_deletions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "encryption_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("check_value", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_encryption_keys")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("task_path", sa.String(length=512), nullable=True),
        sa.Column("causation_depth", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("run_id", "task_path", name=op.f("uq_events_run_id_task_path")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_events_type_id", "events", ["type", "id"], unique=False)
    op.create_table(
        "firings",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("trigger_id", sa.String(length=36), nullable=False),
        sa.Column("workflow_id", sa.String(length=36), nullable=False),
        sa.Column("start_key", sa.String(length=255), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("due_until", sa.BigInteger(), nullable=True),
        sa.Column("count", sa.Integer(), server_default="1", nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "decision in ('started', 'skipped', 'refused', 'missed', 'failed')", name=op.f("ck_firings_decision")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firings")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_firings_trigger_id_id", "firings", ["trigger_id", "id"], unique=False)
    op.create_index("ix_firings_workflow_id_id", "firings", ["workflow_id", "id"], unique=False)
    op.create_table(
        "operations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("position", sa.String(length=36), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_by", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status in ('running', 'completed', 'failed')", name=op.f("ck_operations_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_operations_running", "operations", ["id"], unique=False, sqlite_where=sa.text("status = 'running'")
    )
    op.create_table(
        "retention_rounds",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("runs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("payloads", sa.Integer(), server_default="0", nullable=False),
        sa.Column("firings", sa.Integer(), server_default="0", nullable=False),
        sa.Column("events", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("cause in ('schedule', 'request')", name=op.f("ck_retention_rounds_cause")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_rounds")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=36), nullable=True),
        sa.Column("updated_by", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workflow_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("deployed_by", sa.String(length=36), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("action in ('deploy', 'undeploy', 'rollback')", name=op.f("ck_deployments_action")),
        sa.CheckConstraint("outcome in ('succeeded', 'failed')", name=op.f("ck_deployments_outcome")),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_deployments_workflow_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_deployments_workflow_id_id", "deployments", ["workflow_id", "id"], unique=False)
    op.create_table(
        "task_uids",
        sa.Column("workflow_id", sa.String(length=36), nullable=False),
        sa.Column("task_id", sa.String(length=255), nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_task_uids_workflow_id")),
        sa.PrimaryKeyConstraint("workflow_id", "task_id", name=op.f("pk_task_uids")),
        sa.UniqueConstraint("uid", name=op.f("uq_task_uids_uid")),
        sqlite_with_rowid=False,
    )
    _name_tasks()
    op.create_table(
        "triggers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workflow_id", sa.String(length=36), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("declared", sa.Boolean(), server_default=sa.text("1"), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("condition", sa.Text(), nullable=True),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("version_id", sa.String(length=36), nullable=True),
        sa.Column("jitter_us", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_due_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_until", sa.BigInteger(), nullable=True),
        sa.Column("last_fired_at", sa.BigInteger(), nullable=True),
        sa.Column("last_run_id", sa.String(length=36), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("fired_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("started_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("missed_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("origin in ('definition', 'api')", name=op.f("ck_triggers_origin")),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_triggers_workflow_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triggers")),
        sa.UniqueConstraint("workflow_id", "origin", "name", name=op.f("uq_triggers_workflow_id_origin_name")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_triggers_wake",
        "triggers",
        [sa.text("(next_due_at + jitter_us)")],
        unique=False,
        sqlite_where=sa.text("next_due_at is not null"),
    )
    op.create_index("ix_triggers_type_id", "triggers", ["type", "id"], unique=False)
    op.create_table(
        "workflow_sources",
        sa.Column("workflow_id", sa.String(length=36), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("applied_by", sa.String(length=36), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_workflow_sources_workflow_id")),
        sa.PrimaryKeyConstraint("workflow_id", name=op.f("pk_workflow_sources")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_workflow_sources_source", "workflow_sources", ["source"], unique=False)
    op.add_column("attempts", sa.Column("limit_key", sa.String(length=255), nullable=True))
    op.add_column("attempts", sa.Column("limit_size", sa.Integer(), nullable=True))
    op.add_column("attempts", sa.Column("type_key", sa.String(length=64), nullable=True))
    op.add_column("attempts", sa.Column("queue_until", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_attempts_queue_until",
        "attempts",
        ["queue_until"],
        unique=False,
        sqlite_where=sa.text("status = 'scheduled' and queue_until is not null"),
    )
    for kind in ("limit_key", "type_key"):
        op.create_index(
            f"ix_attempts_{kind}",
            "attempts",
            [kind, sa.text("priority desc"), "available_at"],
            sqlite_where=sa.text(f"{kind} is not null and finished_at is null"),
        )
    op.add_column("limits", sa.Column("next_free_at", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("run_at", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("when_full", sa.String(length=16), nullable=True))
    op.add_column("runs", sa.Column("rate_key", sa.String(length=255), nullable=True))
    op.add_column("runs", sa.Column("rate_limit", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("rate_period_us", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("payloads_deleted_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_runs_root_run_id", "runs", ["root_run_id"], unique=False, sqlite_where=sa.text("root_run_id <> id")
    )
    op.add_column("task_runs", sa.Column("adopted_from", sa.String(length=36), nullable=True))

    op.create_table(
        "changes",
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_changes")),
    )
    op.execute(NOTE_NEW_RUN)
    op.execute(NOTE_CHANGED_RUN)


def _name_tasks() -> None:
    """Give a uid to each task of each workflow that there is already."""
    connection = op.get_bind()
    query = "select workflow_id, definition from workflow_versions order by workflow_id, number"
    named = {
        (workflow_id, task["id"]): str(uuid4())
        for workflow_id, definition in connection.execute(sa.text(query)).all()
        for tasks in ("tasks", "on_failure", "finally")
        for task in json.loads(definition).get(tasks) or []
    }
    rows = [{"workflow": key[0], "task": key[1], "uid": uid} for key, uid in named.items()]
    if rows:
        connection.execute(sa.text("insert into task_uids values (:workflow, :task, :uid)"), rows)


def downgrade() -> None:
    op.execute("drop trigger note_changed_run")
    op.execute("drop trigger note_new_run")
    op.drop_table("changes")
    op.drop_column("task_runs", "adopted_from")
    op.drop_index("ix_runs_root_run_id", table_name="runs", sqlite_where=sa.text("root_run_id <> id"))
    op.drop_column("runs", "payloads_deleted_at")
    op.drop_column("runs", "rate_period_us")
    op.drop_column("runs", "rate_limit")
    op.drop_column("runs", "rate_key")
    op.drop_column("runs", "when_full")
    op.drop_column("runs", "run_at")
    op.drop_column("limits", "next_free_at")
    op.drop_index(
        "ix_attempts_queue_until",
        table_name="attempts",
        sqlite_where=sa.text("status = 'scheduled' and queue_until is not null"),
    )
    op.drop_index("ix_attempts_type_key", table_name="attempts")
    op.drop_index("ix_attempts_limit_key", table_name="attempts")
    op.drop_column("attempts", "queue_until")
    op.drop_column("attempts", "type_key")
    op.drop_column("attempts", "limit_size")
    op.drop_column("attempts", "limit_key")
    op.drop_index("ix_workflow_sources_source", table_name="workflow_sources")
    op.drop_table("workflow_sources")
    op.drop_index("ix_triggers_type_id", table_name="triggers")
    op.drop_index("ix_triggers_wake", table_name="triggers", sqlite_where=sa.text("next_due_at is not null"))
    op.drop_table("triggers")
    op.drop_table("task_uids")
    op.drop_index("ix_deployments_workflow_id_id", table_name="deployments")
    op.drop_table("deployments")
    op.drop_table("secrets")
    op.drop_table("retention_rounds")
    op.drop_index("ix_operations_running", table_name="operations", sqlite_where=sa.text("status = 'running'"))
    op.drop_table("operations")
    op.drop_index("ix_firings_workflow_id_id", table_name="firings")
    op.drop_index("ix_firings_trigger_id_id", table_name="firings")
    op.drop_table("firings")
    op.drop_index("ix_events_type_id", table_name="events")
    op.drop_table("events")
    op.drop_table("encryption_keys")
    op.drop_table("deletions")
    op.drop_table("connections")
    op.drop_index("ix_artifacts_run_id_id", table_name="artifacts", sqlite_where=sa.text("run_id is not null"))
    op.drop_index("ix_artifacts_expires_at", table_name="artifacts", sqlite_where=sa.text("expires_at is not null"))
    op.drop_table("artifacts")
