"""The installation, who may use it, and what it keeps secret."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, false

from millrace.storage.tables.base import identifier, instant, metadata, short

installation = Table(
    "installation",
    metadata,
    identifier(primary_key=True),
    instant("created_at", nullable=False),
    sqlite_with_rowid=False,
)

users = Table(
    "users",
    metadata,
    identifier(primary_key=True),
    Column("email", short(320), nullable=False, unique=True),
    Column("name", short(255), nullable=False),
    Column("role", short(32), nullable=False),
    instant("created_at", nullable=False),
    instant("disabled_at"),
    Column("kind", short(16), nullable=False, server_default="person"),
    Column("password_hash", Text),
    instant("password_set_at"),
    Column("must_change_password", Boolean, nullable=False, server_default=false()),
    instant("last_login_at"),
    instant("updated_at"),
    instant("deleted_at"),
    Column("access", short(16), nullable=False, server_default="all"),
    sqlite_with_rowid=False,
)
"""`kind` is `person` or `service`. Of a service account and of a deleted user `email` holds a place where no mail can
go, since no two rows have the same. Rows of deleted users stay, for runs name them. `access` is `all` or `granted`:
then nothing is seen or done of workflows but what `grants` say.
"""

grants = Table(
    "grants",
    metadata,
    Column("user_id", short(36), ForeignKey("users.id"), primary_key=True),
    Column("workflow_id", short(36), ForeignKey("workflows.id"), primary_key=True),
    Column("grant", short(16), primary_key=True),
    Column("granted_by", short(36)),
    instant("granted_at", nullable=False),
    CheckConstraint("\"grant\" in ('view', 'run', 'edit', 'approve')", name="grant"),
    Index("ix_grants_workflow_id_user_id", "workflow_id", "user_id"),
    sqlite_with_rowid=False,
)
"""What a user may do with a single workflow. Rows go with the workflow, and with the user."""

api_keys = Table(
    "api_keys",
    metadata,
    identifier(primary_key=True),
    Column("user_id", short(36), ForeignKey("users.id"), nullable=False),
    Column("name", short(255), nullable=False),
    Column("prefix", short(16), nullable=False),
    Column("key_hash", short(64), nullable=False, unique=True),
    instant("created_at", nullable=False),
    instant("expires_at"),
    instant("revoked_at"),
    instant("last_used_at"),
    Column("scopes", Text),
    Column("created_by", short(36)),
    Column("replaces", short(36)),
    Index("ix_api_keys_user_id_id", "user_id", "id"),
    sqlite_with_rowid=False,
)
"""`scopes` is a JSON list of permissions; null leaves all that the user's role has."""

sessions = Table(
    "sessions",
    metadata,
    identifier(primary_key=True),
    Column("user_id", short(36), ForeignKey("users.id"), nullable=False),
    Column("kind", short(16), nullable=False),
    Column("token_hash", short(64), unique=True),
    Column("scopes", Text),
    Column("address", short(64)),
    Column("user_agent", short(255)),
    instant("created_at", nullable=False),
    instant("expires_at", nullable=False),
    instant("last_used_at", nullable=False),
    instant("ended_at"),
    Column("ended_because", short(32)),
    CheckConstraint("kind in ('web', 'token')", name="kind"),
    CheckConstraint("(kind = 'web') = (token_hash is not null)", name="token"),
    CheckConstraint("(ended_at is null) = (ended_because is null)", name="ended"),
    Index("ix_sessions_user_id_id", "user_id", "id"),
    Index("ix_sessions_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""Logins. That of a browser is found by the hash of its cookie, that of a program is the family of its tokens."""

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", short(64), primary_key=True),
    Column("session_id", short(36), nullable=False),
    instant("issued_at", nullable=False),
    instant("expires_at", nullable=False),
    instant("used_at"),
    Index("ix_refresh_tokens_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""A used one stays until its time is over: if it comes again, somebody has stolen it."""

login_failures = Table(
    "login_failures",
    metadata,
    Column("key", short(160), primary_key=True),
    Column("count", Integer, nullable=False),
    instant("first_at", nullable=False),
    instant("last_at", nullable=False),
    instant("blocked_until"),
    Index("ix_login_failures_last_at", "last_at"),
    sqlite_with_rowid=False,
)
"""Failed logins by address, by account and by both."""

password_resets = Table(
    "password_resets",
    metadata,
    Column("token_hash", short(64), primary_key=True),
    Column("user_id", short(36), ForeignKey("users.id"), nullable=False),
    Column("created_by", short(36)),
    instant("expires_at", nullable=False),
    instant("used_at"),
    Index("ix_password_resets_user_id", "user_id"),
    Index("ix_password_resets_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

encryption_keys = Table(
    "encryption_keys",
    metadata,
    Column("id", short(64), primary_key=True),
    Column("check_value", Text, nullable=False),
    instant("created_at", nullable=False),
    sqlite_with_rowid=False,
)
"""The key ring: one row per key that values were encrypted with. The keys themselves are never in the database."""

secrets = Table(
    "secrets",
    metadata,
    Column("name", short(255), primary_key=True),
    Column("description", Text),
    Column("sealed", Text, nullable=False),
    Column("key_id", short(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_by", short(36)),
    Column("updated_by", short(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    Column("workflows", Text),
    Column("hosts", Text),
    sqlite_with_rowid=False,
)
"""`workflows` and `hosts` are JSON lists of what the value is for; null: of all."""

secret_versions = Table(
    "secret_versions",
    metadata,
    Column("name", short(255), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("key_id", short(64), nullable=False),
    Column("created_by", short(36)),
    instant("created_at", nullable=False),
    sqlite_with_rowid=False,
)
"""The former values of secrets, sealed as they were when they stood in `secrets`."""

connections = Table(
    "connections",
    metadata,
    Column("name", short(255), primary_key=True),
    Column("type", short(32), nullable=False),
    Column("description", Text),
    Column("config", Text, nullable=False),
    Column("sealed", Text),
    Column("key_id", short(64)),
    Column("version", Integer, nullable=False),
    Column("created_by", short(36)),
    Column("updated_by", short(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    Column("workflows", Text),
    sqlite_with_rowid=False,
)
"""`config` is what may be shown; what may not (passwords) is in `sealed`. `workflows` as in `secrets`."""

connection_versions = Table(
    "connection_versions",
    metadata,
    Column("name", short(255), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("type", short(32), nullable=False),
    Column("config", Text, nullable=False),
    Column("sealed", Text),
    Column("key_id", short(64)),
    Column("created_by", short(36)),
    instant("created_at", nullable=False),
    sqlite_with_rowid=False,
)
"""What connections said before, sealed as it was when it stood in `connections`."""

rate_counts = Table(
    "rate_counts",
    metadata,
    Column("subject", short(128), primary_key=True),
    instant("empty_at", nullable=False),
    Index("ix_rate_counts_empty_at", "empty_at"),
    sqlite_with_rowid=False,
)
"""How full several processes together have made the buckets of rates: the moment at which each will be empty again."""
