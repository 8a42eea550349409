"""What a user may do with a single workflow, and users who may do nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("users", sa.Column("access", sa.String(16), server_default="all", nullable=False))
    op.create_table(
        "grants",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("workflow_id", sa.String(36), nullable=False),
        sa.Column("grant", sa.String(16), nullable=False),
        sa.Column("granted_by", sa.String(36)),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("\"grant\" in ('view', 'run', 'edit', 'approve')", name=op.f("ck_grants_grant")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_grants_user_id")),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_grants_workflow_id")),
        sa.PrimaryKeyConstraint("user_id", "workflow_id", "grant", name=op.f("pk_grants")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_grants_workflow_id_user_id", "grants", ["workflow_id", "user_id"])


def downgrade() -> None:
    op.drop_table("grants")
    op.drop_column("users", "access")
