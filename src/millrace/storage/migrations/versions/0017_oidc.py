"""Logins by a provider: its identities of users, and logins that were answered."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "oidc_identities",
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("email", sa.String(320)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_login_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_oidc_identities_user_id")),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_oidc_identities")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_oidc_identities_user_id_issuer", "oidc_identities", ["user_id", "issuer"])
    op.create_table(
        "oidc_logins",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("code_hash", sa.String(64)),
        sa.Column("challenge", sa.String(64)),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.CheckConstraint("(code_hash is null) = (challenge is null)", name=op.f("ck_oidc_logins_code")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_oidc_logins_user_id")),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_oidc_logins")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_oidc_logins_code_hash")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_oidc_logins_user_id", "oidc_logins", ["user_id"])
    op.create_index("ix_oidc_logins_expires_at", "oidc_logins", ["expires_at"])


def downgrade() -> None:
    op.drop_table("oidc_logins")
    op.drop_table("oidc_identities")
