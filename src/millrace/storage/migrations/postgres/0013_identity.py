"""Who may log in, how: passwords, logins and their tokens, failed ones, resets; what an API key may do at most."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

USERS = """
alter table users
  add column kind varchar(16) collate "C" not null default 'person',
  add column password_hash text,
  add column password_set_at bigint,
  add column must_change_password boolean not null default false,
  add column last_login_at bigint,
  add column updated_at bigint,
  add column deleted_at bigint"""

KEYS = """
alter table api_keys
  add column scopes text,
  add column created_by varchar(36) collate "C",
  add column replaces varchar(36) collate "C"
"""

SESSIONS = """
create table sessions (
  id varchar(36) collate "C" not null,
  user_id varchar(36) collate "C" not null,
  kind varchar(16) collate "C" not null,
  token_hash varchar(64) collate "C",
  scopes text,
  address varchar(64) collate "C",
  user_agent varchar(255) collate "C",
  created_at bigint not null,
  expires_at bigint not null,
  last_used_at bigint not null,
  ended_at bigint,
  ended_because varchar(32) collate "C",
  constraint pk_sessions primary key (id),
  constraint fk_sessions_user_id foreign key (user_id) references users (id),
  constraint uq_sessions_token_hash unique (token_hash),
  constraint ck_sessions_kind check (kind in ('web', 'token')),
  constraint ck_sessions_token check ((kind = 'web') = (token_hash is not null)),
  constraint ck_sessions_ended check ((ended_at is null) = (ended_because is null))
)"""

REFRESH_TOKENS = """
create table refresh_tokens (
  token_hash varchar(64) collate "C" not null,
  session_id varchar(36) collate "C" not null,
  issued_at bigint not null,
  expires_at bigint not null,
  used_at bigint,
  constraint pk_refresh_tokens primary key (token_hash)
)"""

LOGIN_FAILURES = """
create table login_failures (
  key varchar(160) collate "C" not null,
  count integer not null,
  first_at bigint not null,
  last_at bigint not null,
  blocked_until bigint,
  constraint pk_login_failures primary key (key)
)"""

RESETS = """
create table password_resets (
  token_hash varchar(64) collate "C" not null,
  user_id varchar(36) collate "C" not null,
  created_by varchar(36) collate "C",
  expires_at bigint not null,
  used_at bigint,
  constraint pk_password_resets primary key (token_hash),
  constraint fk_password_resets_user_id foreign key (user_id) references users (id)
)"""

INDEXES = (
    "create index ix_api_keys_user_id_id on api_keys (user_id, id)",
    "create index ix_sessions_user_id_id on sessions (user_id, id)",
    "create index ix_sessions_expires_at on sessions (expires_at)",
    "create index ix_refresh_tokens_expires_at on refresh_tokens (expires_at)",
    "create index ix_login_failures_last_at on login_failures (last_at)",
    "create index ix_password_resets_user_id on password_resets (user_id)",
    "create index ix_password_resets_expires_at on password_resets (expires_at)",
)


def upgrade() -> None:
    for statement in (USERS, KEYS, SESSIONS, REFRESH_TOKENS, LOGIN_FAILURES, RESETS, *INDEXES):
        op.execute(statement)


def downgrade() -> None:
    for table in ("password_resets", "login_failures", "refresh_tokens", "sessions"):
        op.execute(f"drop table {table}")
    op.execute("drop index ix_api_keys_user_id_id")
    op.execute("alter table api_keys drop column scopes, drop column created_by, drop column replaces")
    op.execute(
        "alter table users drop column kind, drop column password_hash, drop column password_set_at, "
        "drop column must_change_password, drop column last_login_at, drop column updated_at, drop column deleted_at"
    )
