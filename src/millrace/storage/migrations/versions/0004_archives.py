"""Where runs are that were written to the archive before they were deleted; rounds of retention count them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

COUNTED = ("archived", "archives")


def upgrade() -> None:
    for name in COUNTED:
        op.add_column("retention_rounds", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "archives",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("object_key", sa.String(512), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("index_at", sa.BigInteger(), nullable=False),
        sa.Column("families", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("first_run_id", sa.String(36), nullable=False),
        sa.Column("last_run_id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archives")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_archives_first_run_id", "archives", ["first_run_id"])


def downgrade() -> None:
    op.drop_table("archives")
    for name in reversed(COUNTED):
        op.drop_column("retention_rounds", name)
