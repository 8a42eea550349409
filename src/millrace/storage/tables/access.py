"""The installation, who may use it, and what it keeps secret."""

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from millrace.storage.tables.base import identifier, instant, metadata

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
    Column("email", String(320), nullable=False, unique=True),
    Column("name", String(255), nullable=False),
    Column("role", String(32), nullable=False),
    instant("created_at", nullable=False),
    instant("disabled_at"),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    identifier(primary_key=True),
    Column("user_id", String(36), ForeignKey("users.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    instant("created_at", nullable=False),
    instant("expires_at"),
    instant("revoked_at"),
    instant("last_used_at"),
    sqlite_with_rowid=False,
)

encryption_keys = Table(
    "encryption_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("check_value", Text, nullable=False),
    instant("created_at", nullable=False),
    sqlite_with_rowid=False,
)
"""The key ring: one row per key that values were encrypted with. The keys themselves are never in the database."""

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("description", Text),
    Column("sealed", Text, nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_by", String(36)),
    Column("updated_by", String(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    sqlite_with_rowid=False,
)

connections = Table(
    "connections",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("description", Text),
    Column("config", Text, nullable=False),
    Column("sealed", Text),
    Column("key_id", String(64)),
    Column("version", Integer, nullable=False),
    Column("created_by", String(36)),
    Column("updated_by", String(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    sqlite_with_rowid=False,
)
"""`config` is what may be shown; what may not (passwords) is in `sealed`."""
