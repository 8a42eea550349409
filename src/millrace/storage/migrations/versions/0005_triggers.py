"""What triggers beside schedules need: routes, events from outside, backfills, followers of runs, mail of test mode."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = ("trigger_routes", "backfills", "followers", "mails")
OF_EVENTS = (("external_id", sa.String(255)), ("occurred_at", sa.BigInteger()), ("attributes", sa.Text()))


def upgrade() -> None:
    _routes()
    _backfills()
    _followers()
    _mails()
    waiting = sa.text("next_due_at is null and active and type || '' = 'interval'")
    op.create_index("ix_triggers_awaiting", "triggers", ["id"], sqlite_where=waiting)
    op.add_column("workflows", sa.Column("test_mode", sa.Text()))
    for name, kind in OF_EVENTS:
        op.add_column("events", sa.Column(name, kind))
    op.add_column("events", sa.Column("routed_at", sa.BigInteger()))
    # Nobody routed those that are there already; what happened long ago starts nothing.
    op.execute("update events set routed_at = at")
    op.create_index("ix_events_unrouted", "events", ["id"], sqlite_where=sa.text("routed_at is null"))
    op.create_index(
        "uq_events_source_external_id",
        "events",
        ["source", "external_id"],
        unique=True,
        sqlite_where=sa.text("external_id is not null"),
    )


def _routes() -> None:
    op.create_table(
        "trigger_routes",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(512), nullable=False),
        sa.Column("trigger_id", sa.String(36), nullable=False),
        sa.Column("workflow_id", sa.String(36), nullable=False),
        sa.CheckConstraint("kind in ('webhook', 'event')", name=op.f("ck_trigger_routes_kind")),
        sa.PrimaryKeyConstraint("kind", "key", "trigger_id", name=op.f("pk_trigger_routes")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_trigger_routes_webhook", "trigger_routes", ["key"], unique=True, sqlite_where=sa.text("kind = 'webhook'")
    )
    op.create_index("ix_trigger_routes_trigger_id", "trigger_routes", ["trigger_id"])


def _backfills() -> None:
    op.create_table(
        "backfills",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("trigger_id", sa.String(36), nullable=False),
        sa.Column("workflow_id", sa.String(36), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("range_from", sa.BigInteger(), nullable=False),
        sa.Column("range_until", sa.BigInteger(), nullable=False),
        sa.Column("at_once", sa.Integer(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("stop_on_failure", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("decided_until", sa.BigInteger(), nullable=False),
        sa.Column("under_way", sa.Text(), server_default="[]", nullable=False),
        sa.Column("fired_before", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("completed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_by", sa.String(36)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.CheckConstraint(
            "status in ('running', 'paused', 'completed', 'cancelled', 'failed')", name=op.f("ck_backfills_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_backfills_trigger_id_id", "backfills", ["trigger_id", "id"])
    op.create_index("ix_backfills_open", "backfills", ["id"], sqlite_where=sa.text("finished_at is null"))


def _followers() -> None:
    op.create_table(
        "followers",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_followers")),
        sqlite_with_rowid=False,
    )


def _mails() -> None:
    op.create_table(
        "mails",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("key", sa.String(512), nullable=False),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger()),
        sa.UniqueConstraint("key", name=op.f("uq_mails_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_mails_due_at", "mails", ["due_at"], sqlite_where=sa.text("due_at is not null"))


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_index("uq_events_source_external_id", "events")
    op.drop_index("ix_events_unrouted", "events")
    for name in ("routed_at", "attributes", "occurred_at", "external_id"):
        op.drop_column("events", name)
    op.drop_column("workflows", "test_mode")
    op.drop_index("ix_triggers_awaiting", "triggers")
