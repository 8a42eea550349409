"""How near to the limits of their rates those are whom several processes count together."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "rate_counts",
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("empty_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_rate_counts")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_rate_counts_empty_at", "rate_counts", ["empty_at"])


def downgrade() -> None:
    op.drop_table("rate_counts")
