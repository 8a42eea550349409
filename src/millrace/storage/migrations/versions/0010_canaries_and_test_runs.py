"""A second version that takes a share of the triggered runs, and what a test run does other than its version."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "canaries",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("workflow_id", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stable", sa.Integer(), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("started_by", sa.String(36)),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("ended_by", sa.String(36)),
        sa.Column("ended_at", sa.BigInteger()),
        sa.CheckConstraint("share between 1 and 9999", name=op.f("ck_canaries_share")),
        sa.CheckConstraint("outcome in ('promoted', 'stopped', 'replaced')", name=op.f("ck_canaries_outcome")),
        sa.CheckConstraint("(outcome is null) = (ended_at is null)", name=op.f("ck_canaries_ended")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canaries")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_canaries_workflow_id_id", "canaries", ["workflow_id", "id"])
    live = sa.text("ended_at is null")
    op.create_index("uq_canaries_live", "canaries", ["workflow_id"], unique=True, sqlite_where=live)
    op.create_table(
        "test_runs",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_test_runs")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("test_runs")
    op.drop_table("canaries")
