"""Logins by a provider: its identities of users, and logins that were answered."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

IDENTITIES = """
create table oidc_identities (
  issuer varchar(255) collate "C" not null,
  subject varchar(255) collate "C" not null,
  user_id varchar(36) collate "C" not null,
  email varchar(320) collate "C",
  created_at bigint not null,
  last_login_at bigint not null,
  constraint pk_oidc_identities primary key (issuer, subject),
  constraint fk_oidc_identities_user_id foreign key (user_id) references users (id)
)"""

LOGINS = """
create table oidc_logins (
  state_hash varchar(64) collate "C" not null,
  user_id varchar(36) collate "C" not null,
  code_hash varchar(64) collate "C",
  challenge varchar(64) collate "C",
  expires_at bigint not null,
  used_at bigint,
  constraint pk_oidc_logins primary key (state_hash),
  constraint fk_oidc_logins_user_id foreign key (user_id) references users (id),
  constraint uq_oidc_logins_code_hash unique (code_hash),
  constraint ck_oidc_logins_code check ((code_hash is null) = (challenge is null))
)"""

INDEXES = (
    "create index ix_oidc_identities_user_id_issuer on oidc_identities (user_id, issuer)",
    "create index ix_oidc_logins_user_id on oidc_logins (user_id)",
    "create index ix_oidc_logins_expires_at on oidc_logins (expires_at)",
)


def upgrade() -> None:
    for statement in (IDENTITIES, LOGINS, *INDEXES):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table oidc_logins")
    op.execute("drop table oidc_identities")
