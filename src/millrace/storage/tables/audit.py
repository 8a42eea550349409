"""Who changed what, when and from where. Rows are added, sealed once, and deleted only behind the anchor.
What is personal in them can be erased, and nothing else of them can change (docs/decisions/0038).

The triggers here say so in SQL, so that no defect of ours, and nobody by accident, changes what was written. Who may
change the schema can take them away: that is what the seals are for (docs/decisions/0031).
"""

from typing import Final

from sqlalchemy import DDL, BigInteger, CheckConstraint, Column, Index, Integer, Table, Text, event

from millrace.storage.tables.base import identifier, instant, metadata, short, where

audit_log = Table(
    "audit_log",
    metadata,
    identifier(primary_key=True),
    instant("at", nullable=False),
    Column("actor_id", short(64)),
    Column("actor", short(255), nullable=False),
    Column("credential_id", short(36)),
    Column("action", short(64), nullable=False),
    Column("entity", short(32), nullable=False),
    Column("entity_id", short(512)),
    Column("entity_name", short(512)),
    Column("before", Text),
    Column("after", Text),
    Column("address", short(64)),
    Column("request_id", short(64)),
    Column("seq", BigInteger),
    Column("hash", short(64)),
    Column("key_id", short(64)),
    Column("by_salt", short(32)),
    Column("by_digest", short(64), nullable=False),
    Column("about_salt", short(32)),
    Column("about_digest", short(64), nullable=False),
    Column("erasure", short(64)),
    Column("erasure_key_id", short(64)),
    CheckConstraint("(seq is null) = (hash is null)", name="sealed"),
    CheckConstraint("(seq is null) = (key_id is null)", name="sealed_by"),
    CheckConstraint("by_salt is not null or (actor = 'erased' and address is null)", name="by"),
    CheckConstraint(
        "about_salt is not null or (entity_name is not null and entity_name = 'erased' and before is null "
        "and after is null)",
        name="about",
    ),
    CheckConstraint("(by_salt is null or about_salt is null) = (erasure is not null)", name="erased"),
    CheckConstraint("(erasure is null) = (erasure_key_id is null)", name="erased_by"),
    Index("ix_audit_log_seq", "seq", unique=True, **where("seq is not null")),
    Index("ix_audit_log_unsealed", "id", **where("seq is null")),
    Index("ix_audit_log_entity_entity_id_id", "entity", "entity_id", "id"),
    Index("ix_audit_log_actor_id_id", "actor_id", "id"),
    Index("ix_audit_log_action_id", "action", "id"),
    sqlite_with_rowid=False,
)
"""`at` is the time in the id, so that ids are in the order of time. `before` and `after` are JSON, of the fields that
changed. `seq`, `hash` and `key_id` come with the seal. It covers `by_digest` (of `actor` and `address`) and
`about_digest` (of `entity_name`, `before` and `after`) in place of what they are digests of; a part without its salt is
erased, and `erasure` is signed by the key `erasure_key_id`."""

audit_anchor = Table(
    "audit_anchor",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", short(64), nullable=False),
    instant("at", nullable=False),
    Column("key_id", short(64), nullable=False),
    Column("signature", short(64), nullable=False),
    CheckConstraint("id = 1", name="one"),
    sqlite_with_rowid=False,
)
"""The last row that retention deleted, where the chain begins now. No row: nothing was deleted yet."""

WRITTEN: Final = (
    "id", "at", "actor_id", "credential_id", "action", "entity", "entity_id", "request_id", "by_digest", "about_digest",
)  # fmt: skip
"""What is written with the row, and never changes."""
BY: Final = ("actor", "address", "by_salt")
ABOUT: Final = ("entity_name", "before", "after", "about_salt")
"""What does not change either, unless it is erased."""
SEAL: Final = ("seq", "hash", "key_id")
ERASURE: Final = ("erasure", "erasure_key_id")


def _same(*names: str) -> str:
    return "(" + " and ".join(f'new."{name}" is old."{name}"' for name in names) + ")"


SEALED: Final = f"""old.seq is null and new.seq is not null and {_same(*WRITTEN, *BY, *ABOUT, *ERASURE)}
    and new.seq > (select coalesce(max(seq), 0) from audit_log where seq is not null)"""  # noqa: S608 - names of our own
ERASED: Final = f"""old.seq is not null and {_same(*WRITTEN, *SEAL)}
    and ({_same(*BY)} or old.by_salt is not null and new.by_salt is null)
    and ({_same(*ABOUT)} or old.about_salt is not null and new.about_salt is null)
    and not ({_same(*BY)} and {_same(*ABOUT)})"""
"""The two ways in which a row may change. What an erased part holds, the constraints say."""

SQLITE_TRIGGERS: Final = (
    """create trigger audit_log_added before insert on audit_log
when new.seq is not null or new.erasure is not null or exists (select 1 from audit_log where id = new.id)
begin select raise(abort, 'the audit log is append-only: a row is new, and sealed later'); end""",
    f"""create trigger audit_log_changed before update on audit_log
when not (({SEALED})
  or ({ERASED}))
begin select raise(abort, 'the audit log is append-only: rows do not change'); end""",
    """create trigger audit_log_deleted before delete on audit_log
when old.seq is null or old.seq > (select coalesce(max(seq), 0) from audit_anchor)
begin select raise(abort, 'the audit log is append-only: rows are deleted up to its anchor'); end""",
    """create trigger audit_anchor_moved before update on audit_anchor
when new.seq <= old.seq
begin select raise(abort, 'the anchor of the audit log moves forward only'); end""",
    """create trigger audit_anchor_kept before delete on audit_anchor
begin select raise(abort, 'the anchor of the audit log stays'); end""",
    """create trigger audit_anchor_added before insert on audit_anchor
when exists (select 1 from audit_anchor)
begin select raise(abort, 'the audit log has one anchor'); end""",
)
"""On PostgreSQL the migration makes the same. An insert is looked at, too: SQLite's `or replace` deletes without a
trigger being asked."""

for _statement in SQLITE_TRIGGERS:
    event.listen(metadata, "after_create", DDL(_statement).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]
