"""When tasks that waited for an event were told of it: mostly as it was stored."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("events", sa.Column("told_at", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("events", "told_at")
