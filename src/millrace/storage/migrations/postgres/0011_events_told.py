"""When tasks that waited for an event were told of it: mostly as it was stored."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table events add column told_at bigint")


def downgrade() -> None:
    op.execute("alter table events drop column told_at")
