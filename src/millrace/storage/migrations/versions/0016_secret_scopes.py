"""What secrets and connections are for, and what they were before: workflows, hosts, former versions."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("secrets", sa.Column("workflows", sa.Text()))
    op.add_column("secrets", sa.Column("hosts", sa.Text()))
    op.add_column("connections", sa.Column("workflows", sa.Text()))
    op.create_table(
        "secret_versions",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(36)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_secret_versions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "connection_versions",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text()),
        sa.Column("key_id", sa.String(64)),
        sa.Column("created_by", sa.String(36)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_connection_versions")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("connection_versions")
    op.drop_table("secret_versions")
    op.drop_column("connections", "workflows")
    op.drop_column("secrets", "hosts")
    op.drop_column("secrets", "workflows")
