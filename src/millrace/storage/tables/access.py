"""The installation, who may use it, and what it keeps secret."""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

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
    sqlite_with_rowid=False,
)

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
    sqlite_with_rowid=False,
)

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
    sqlite_with_rowid=False,
)
"""`config` is what may be shown; what may not (passwords) is in `sealed`."""
