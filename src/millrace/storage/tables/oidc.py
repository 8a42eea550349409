"""Who is known by which identity of a login provider, and logins by it that were answered."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table

from millrace.storage.tables.base import instant, metadata, short

oidc_identities = Table(
    "oidc_identities",
    metadata,
    Column("issuer", short(255), primary_key=True),
    Column("subject", short(255), primary_key=True),
    Column("user_id", short(36), ForeignKey("users.id"), nullable=False),
    Column("email", short(320)),
    instant("created_at", nullable=False),
    instant("last_login_at", nullable=False),
    Index("ix_oidc_identities_user_id_issuer", "user_id", "issuer"),
    sqlite_with_rowid=False,
)
"""`email` is what the provider said at the last login, whether or not it says that it has verified it."""

oidc_logins = Table(
    "oidc_logins",
    metadata,
    Column("state_hash", short(64), primary_key=True),
    Column("user_id", short(36), ForeignKey("users.id"), nullable=False),
    Column("code_hash", short(64), unique=True),
    Column("challenge", short(64)),
    instant("expires_at", nullable=False),
    instant("used_at"),
    CheckConstraint("(code_hash is null) = (challenge is null)", name="code"),
    Index("ix_oidc_logins_user_id", "user_id"),
    Index("ix_oidc_logins_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""A state that is here was answered, and is not taken again. That of a program has a code, to be exchanged once."""
