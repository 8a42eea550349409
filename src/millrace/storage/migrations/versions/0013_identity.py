"""Who may log in, how: passwords, logins and their tokens, failed ones, resets; what an API key may do at most."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

USERS = (
    "password_hash",
    "password_set_at",
    "must_change_password",
    "last_login_at",
    "updated_at",
    "deleted_at",
    "kind",
)
KEYS = ("scopes", "created_by", "replaces")


def upgrade() -> None:
    op.add_column("users", sa.Column("kind", sa.String(16), server_default="person", nullable=False))
    op.add_column("users", sa.Column("password_hash", sa.Text()))
    op.add_column("users", sa.Column("password_set_at", sa.BigInteger()))
    op.add_column("users", sa.Column("must_change_password", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("users", sa.Column("last_login_at", sa.BigInteger()))
    op.add_column("users", sa.Column("updated_at", sa.BigInteger()))
    op.add_column("users", sa.Column("deleted_at", sa.BigInteger()))
    op.add_column("api_keys", sa.Column("scopes", sa.Text()))
    op.add_column("api_keys", sa.Column("created_by", sa.String(36)))
    op.add_column("api_keys", sa.Column("replaces", sa.String(36)))
    op.create_index("ix_api_keys_user_id_id", "api_keys", ["user_id", "id"])
    _sessions()
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_refresh_tokens_expires_at", "refresh_tokens", ["expires_at"])
    op.create_table(
        "login_failures",
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_login_failures")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_login_failures_last_at", "login_failures", ["last_at"])
    op.create_table(
        "password_resets",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("created_by", sa.String(36)),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_password_resets_user_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_password_resets")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_password_resets_user_id", "password_resets", ["user_id"])
    op.create_index("ix_password_resets_expires_at", "password_resets", ["expires_at"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("token_hash", sa.String(64)),
        sa.Column("scopes", sa.Text()),
        sa.Column("address", sa.String(64)),
        sa.Column("user_agent", sa.String(255)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("ended_because", sa.String(32)),
        sa.CheckConstraint("kind in ('web', 'token')", name=op.f("ck_sessions_kind")),
        sa.CheckConstraint("(kind = 'web') = (token_hash is not null)", name=op.f("ck_sessions_token")),
        sa.CheckConstraint("(ended_at is null) = (ended_because is null)", name=op.f("ck_sessions_ended")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sessions_user_id_id", "sessions", ["user_id", "id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def downgrade() -> None:
    for table in ("password_resets", "login_failures", "refresh_tokens", "sessions"):
        op.drop_table(table)
    op.drop_index("ix_api_keys_user_id_id", "api_keys")
    for column in KEYS:
        op.drop_column("api_keys", column)
    for column in USERS:
        op.drop_column("users", column)
