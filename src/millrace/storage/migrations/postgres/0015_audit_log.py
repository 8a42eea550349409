"""Who changed what: a log that is only added to."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

LOG = """
create table audit_log (
  id varchar(36) collate "C" not null,
  at bigint not null,
  actor_id varchar(64) collate "C",
  actor varchar(255) collate "C" not null,
  credential_id varchar(36) collate "C",
  action varchar(64) collate "C" not null,
  entity varchar(32) collate "C" not null,
  entity_id varchar(512) collate "C",
  entity_name varchar(512) collate "C",
  before text,
  after text,
  address varchar(64) collate "C",
  request_id varchar(64) collate "C",
  seq bigint,
  hash varchar(64) collate "C",
  key_id varchar(64) collate "C",
  by_salt varchar(32) collate "C",
  by_digest varchar(64) collate "C" not null,
  about_salt varchar(32) collate "C",
  about_digest varchar(64) collate "C" not null,
  erasure varchar(64) collate "C",
  erasure_key_id varchar(64) collate "C",
  constraint pk_audit_log primary key (id),
  constraint ck_audit_log_sealed check ((seq is null) = (hash is null)),
  constraint ck_audit_log_sealed_by check ((seq is null) = (key_id is null)),
  constraint ck_audit_log_by check (by_salt is not null or (actor = 'erased' and address is null)),
  constraint ck_audit_log_about check (about_salt is not null
    or (entity_name is not null and entity_name = 'erased' and before is null and after is null)),
  constraint ck_audit_log_erased check ((by_salt is null or about_salt is null) = (erasure is not null)),
  constraint ck_audit_log_erased_by check ((erasure is null) = (erasure_key_id is null))
)"""

ANCHOR = """
create table audit_anchor (
  id integer not null,
  seq bigint not null,
  hash varchar(64) collate "C" not null,
  at bigint not null,
  key_id varchar(64) collate "C" not null,
  signature varchar(64) collate "C" not null,
  constraint pk_audit_anchor primary key (id),
  constraint ck_audit_anchor_one check (id = 1)
)"""

INDEXES = (
    "create unique index ix_audit_log_seq on audit_log (seq) where seq is not null",
    "create index ix_audit_log_unsealed on audit_log (id) where seq is null",
    "create index ix_audit_log_entity_entity_id_id on audit_log (entity, entity_id, id)",
    "create index ix_audit_log_actor_id_id on audit_log (actor_id, id)",
    "create index ix_audit_log_action_id on audit_log (action, id)",
)

FUNCTIONS = (
    """
create function keep_audit_log() returns trigger language plpgsql as $$
declare
  seal constant text[] = array['seq', 'hash', 'key_id'];
  by_whom constant text[] = array['actor', 'address', 'by_salt'];
  of_what constant text[] = array['entity_name', 'before', 'after', 'about_salt'];
  erasure constant text[] = array['erasure', 'erasure_key_id'];
begin
  if tg_op = 'INSERT' and new.seq is null and new.erasure is null then
    return new;
  elsif tg_op = 'UPDATE' and old.seq is null and new.seq is not null
    and to_jsonb(new) - seal = to_jsonb(old) - seal
    and new.seq > (select coalesce(max(seq), 0) from audit_log where seq is not null) then
    return new;
  elsif tg_op = 'UPDATE' and old.seq is not null
    and to_jsonb(new) - by_whom - of_what - erasure = to_jsonb(old) - by_whom - of_what - erasure
    and ((new.actor, new.address, new.by_salt) is not distinct from (old.actor, old.address, old.by_salt)
      or old.by_salt is not null and new.by_salt is null)
    and ((new.entity_name, new.before, new.after, new.about_salt)
        is not distinct from (old.entity_name, old.before, old.after, old.about_salt)
      or old.about_salt is not null and new.about_salt is null)
    and (new.by_salt is distinct from old.by_salt or new.about_salt is distinct from old.about_salt) then
    return new;
  elsif tg_op = 'DELETE' and old.seq <= (select coalesce(max(seq), 0) from audit_anchor) then
    return old;
  end if;
  raise exception 'the audit log is append-only: rows are sealed once, erased, and deleted up to its anchor'
    using errcode = 'integrity_constraint_violation';
end
$$""",
    """
create function keep_audit_anchor() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and new.seq > old.seq then
    return new;
  end if;
  raise exception 'the anchor of the audit log moves forward only'
    using errcode = 'integrity_constraint_violation';
end
$$""",
)

TRIGGERS = (
    "create trigger audit_log_kept before insert or update or delete on audit_log "
    "for each row execute function keep_audit_log()",
    "create trigger audit_log_not_emptied before truncate on audit_log "
    "for each statement execute function keep_audit_log()",
    "create trigger audit_anchor_kept before update or delete on audit_anchor "
    "for each row execute function keep_audit_anchor()",
    "create trigger audit_anchor_not_emptied before truncate on audit_anchor "
    "for each statement execute function keep_audit_anchor()",
)


def upgrade() -> None:
    for statement in (LOG, ANCHOR, *INDEXES, *FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table audit_anchor")
    op.execute("drop table audit_log")
    op.execute("drop function keep_audit_anchor()")
    op.execute("drop function keep_audit_log()")
