"""Lists of runs by narrow indexes; retention counts what belongs to no run; a column nobody read is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ENDED_BADLY = "status in ('failed', 'cancelled')"
UNADMITTED = "admission_key is not null and admitted_at is null and finished_at is null"


def upgrade() -> None:
    op.drop_index("ix_runs_status_id", table_name="runs")
    op.create_index("ix_runs_status_id", "runs", ["status", "id"], sqlite_where=sa.text("status <> 'completed'"))
    op.create_index("ix_runs_ended_badly", "runs", ["workflow_id", "id"], sqlite_where=sa.text(ENDED_BADLY))
    _queue_of_runs("admission_key", "rate_key")
    for name in ("operations", "incarnations"):
        op.add_column("retention_rounds", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.drop_column("artifacts", "root_run_id")


def downgrade() -> None:
    op.add_column("artifacts", sa.Column("root_run_id", sa.String(length=36), nullable=True))
    for name in ("incarnations", "operations"):
        op.drop_column("retention_rounds", name)
    _queue_of_runs("admission_key")
    op.drop_index("ix_runs_ended_badly", table_name="runs")
    op.drop_index("ix_runs_status_id", table_name="runs")
    op.create_index("ix_runs_status_id", "runs", ["status", "id"])


def _queue_of_runs(*keys: str) -> None:
    op.drop_index("ix_runs_unadmitted", table_name="runs")
    columns: list[str | sa.TextClause] = [*keys, sa.text("priority desc"), "id"]
    op.create_index("ix_runs_unadmitted", "runs", columns, sqlite_where=sa.text(UNADMITTED))
