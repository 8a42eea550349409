"""Lists of runs by narrow indexes; retention counts what belongs to no run; a column nobody read is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ENDED_BADLY = "status in ('failed', 'cancelled')"


def upgrade() -> None:
    op.drop_index("ix_runs_status_id", table_name="runs")
    op.create_index("ix_runs_status_id", "runs", ["status", "id"], sqlite_where=sa.text("status <> 'completed'"))
    op.create_index("ix_runs_ended_badly", "runs", ["workflow_id", "id"], sqlite_where=sa.text(ENDED_BADLY))
    for name in ("operations", "incarnations"):
        op.add_column("retention_rounds", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.drop_column("artifacts", "root_run_id")


def downgrade() -> None:
    op.add_column("artifacts", sa.Column("root_run_id", sa.String(length=36), nullable=True))
    for name in ("incarnations", "operations"):
        op.drop_column("retention_rounds", name)
    op.drop_index("ix_runs_ended_badly", table_name="runs")
    op.drop_index("ix_runs_status_id", table_name="runs")
    op.create_index("ix_runs_status_id", "runs", ["status", "id"])
