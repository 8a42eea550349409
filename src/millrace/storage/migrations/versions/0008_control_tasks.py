"""Control tasks: what they wait for, which of their blocks runs, and whose sub-workflow a run is."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

OF_TASKS = (("block", sa.Text()), ("size", sa.Integer()), ("awaits", sa.Text()), ("child_run_id", sa.String(36)))
OF_RUNS = (("parent_path", sa.String(512)), ("signals", sa.Text()))


def upgrade() -> None:
    for name, kind in OF_TASKS:
        op.add_column("task_runs", sa.Column(name, kind))
    for name, kind in OF_RUNS:
        op.add_column("runs", sa.Column(name, kind))
    parented = sa.text("parent_run_id is not null")
    op.create_index("ix_runs_parent_run_id_id", "runs", ["parent_run_id", "id"], sqlite_where=parented)
    _waits()
    _routes()


def _waits() -> None:
    op.create_table(
        "waits",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("kind", sa.String(32)),
        sa.Column("request", sa.Text()),
        sa.Column("child_run_id", sa.String(36)),
        sa.Column("wanted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("fire_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "path", name=op.f("pk_waits")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_waits_fire_at", "waits", ["fire_at"], sqlite_where=sa.text("fire_at is not null"))
    op.create_index("ix_waits_wanted", "waits", ["run_id", "path"], sqlite_where=sa.text("wanted"))
    of_people = sa.text("kind = 'approval'")
    op.create_index("ix_waits_approvals", "waits", ["created_at", "run_id", "path"], sqlite_where=of_people)


def _routes() -> None:
    op.create_table(
        "wait_routes",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("route", sa.String(255), nullable=False),
        sa.Column("correlation", sa.String(512), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "path", "route", name=op.f("pk_wait_routes")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_wait_routes_route", "wait_routes", ["route", "correlation", "run_id", "path"])


def downgrade() -> None:
    op.drop_table("wait_routes")
    op.drop_table("waits")
    op.drop_index("ix_runs_parent_run_id_id", table_name="runs")
    for name, _ in OF_RUNS:
        op.drop_column("runs", name)
    for name, _ in OF_TASKS:
        op.drop_column("task_runs", name)
