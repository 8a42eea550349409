"""Who changed what: a log that is only added to."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

WRITTEN = (
    "id", "at", "actor_id", "credential_id", "action", "entity", "entity_id", "request_id", "by_digest", "about_digest",
)  # fmt: skip
BY = ("actor", "address", "by_salt")
ABOUT = ("entity_name", "before", "after", "about_salt")
SEAL = ("seq", "hash", "key_id")
ERASURE = ("erasure", "erasure_key_id")


def _same(*names: str) -> str:
    return "(" + " and ".join(f'new."{name}" is old."{name}"' for name in names) + ")"


SEALED = f"""old.seq is null and new.seq is not null and {_same(*WRITTEN, *BY, *ABOUT, *ERASURE)}
    and new.seq > (select coalesce(max(seq), 0) from audit_log where seq is not null)"""  # noqa: S608 - names of our own
ERASED = f"""old.seq is not null and {_same(*WRITTEN, *SEAL)}
    and ({_same(*BY)} or old.by_salt is not null and new.by_salt is null)
    and ({_same(*ABOUT)} or old.about_salt is not null and new.about_salt is null)
    and not ({_same(*BY)} and {_same(*ABOUT)})"""

TRIGGERS = (
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


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.String(64)),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("credential_id", sa.String(36)),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("entity_id", sa.String(512)),
        sa.Column("entity_name", sa.String(512)),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.Column("address", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("seq", sa.BigInteger()),
        sa.Column("hash", sa.String(64)),
        sa.Column("key_id", sa.String(64)),
        sa.Column("by_salt", sa.String(32)),
        sa.Column("by_digest", sa.String(64), nullable=False),
        sa.Column("about_salt", sa.String(32)),
        sa.Column("about_digest", sa.String(64), nullable=False),
        sa.Column("erasure", sa.String(64)),
        sa.Column("erasure_key_id", sa.String(64)),
        sa.CheckConstraint("(seq is null) = (hash is null)", name=op.f("ck_audit_log_sealed")),
        sa.CheckConstraint("(seq is null) = (key_id is null)", name=op.f("ck_audit_log_sealed_by")),
        sa.CheckConstraint(
            "by_salt is not null or (actor = 'erased' and address is null)", name=op.f("ck_audit_log_by")
        ),
        sa.CheckConstraint(
            "about_salt is not null or (entity_name is not null and entity_name = 'erased' and before is null "
            "and after is null)",
            name=op.f("ck_audit_log_about"),
        ),
        sa.CheckConstraint(
            "(by_salt is null or about_salt is null) = (erasure is not null)", name=op.f("ck_audit_log_erased")
        ),
        sa.CheckConstraint("(erasure is null) = (erasure_key_id is null)", name=op.f("ck_audit_log_erased_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_log_seq", "audit_log", ["seq"], unique=True, sqlite_where=sa.text("seq is not null"))
    op.create_index("ix_audit_log_unsealed", "audit_log", ["id"], sqlite_where=sa.text("seq is null"))
    op.create_index("ix_audit_log_entity_entity_id_id", "audit_log", ["entity", "entity_id", "id"])
    op.create_index("ix_audit_log_actor_id_id", "audit_log", ["actor_id", "id"])
    op.create_index("ix_audit_log_action_id", "audit_log", ["action", "id"])
    op.create_table(
        "audit_anchor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_anchor_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_anchor")),
        sqlite_with_rowid=False,
    )
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("audit_anchor")
    op.drop_table("audit_log")
