"""Where control tasks of a run go on that repeats another: told when it is made."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("runs", sa.Column("ahead", sa.Text()))


def downgrade() -> None:
    op.drop_column("runs", "ahead")
