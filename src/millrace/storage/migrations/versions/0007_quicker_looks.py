"""Runs that ended badly are told apart in their index: to find those of one kind, no row of another is read."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ENDED_BADLY = "status in ('failed', 'cancelled')"


def upgrade() -> None:
    _bad_ends("workflow_id", "id", "status")


def downgrade() -> None:
    _bad_ends("workflow_id", "id")


def _bad_ends(*columns: str) -> None:
    op.drop_index("ix_runs_ended_badly", table_name="runs")
    op.create_index("ix_runs_ended_badly", "runs", [*columns], sqlite_where=sa.text(ENDED_BADLY))
