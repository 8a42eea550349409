"""Mail that is to leave this installation: written with what it tells of, sent afterwards."""

from sqlalchemy import Column, Index, Integer, Table, Text, UniqueConstraint

from millrace.storage.tables.base import identifier, instant, metadata, short, where

mails = Table(
    "mails",
    metadata,
    identifier(primary_key=True),
    Column("key", short(512), nullable=False),
    Column("recipient", short(320), nullable=False),
    Column("content", Text, nullable=False),
    instant("due_at"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    instant("created_at", nullable=False),
    instant("sent_at"),
    UniqueConstraint("key"),
    Index("ix_mails_due_at", "due_at", **where("due_at is not null")),
    sqlite_with_rowid=False,
)
"""One with the `key` of another is the same. Whoever sends one moves `due_at` on first, so that no other does so at the
same time; with no `due_at` it is sent, or given up."""
