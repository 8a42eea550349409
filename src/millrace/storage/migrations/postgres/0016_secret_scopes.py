"""What secrets and connections are for, and what they were before: workflows, hosts, former versions."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

FORMER_SECRETS = """
create table secret_versions (
  name varchar(255) collate "C" not null,
  version integer not null,
  sealed text not null,
  key_id varchar(64) collate "C" not null,
  created_by varchar(36) collate "C",
  created_at bigint not null,
  constraint pk_secret_versions primary key (name, version)
)"""

FORMER_CONNECTIONS = """
create table connection_versions (
  name varchar(255) collate "C" not null,
  version integer not null,
  type varchar(32) collate "C" not null,
  config text not null,
  sealed text,
  key_id varchar(64) collate "C",
  created_by varchar(36) collate "C",
  created_at bigint not null,
  constraint pk_connection_versions primary key (name, version)
)"""


def upgrade() -> None:
    op.execute("alter table secrets add column workflows text, add column hosts text")
    op.execute("alter table connections add column workflows text")
    op.execute(FORMER_SECRETS)
    op.execute(FORMER_CONNECTIONS)


def downgrade() -> None:
    op.execute("drop table connection_versions")
    op.execute("drop table secret_versions")
    op.execute("alter table connections drop column workflows")
    op.execute("alter table secrets drop column workflows, drop column hosts")
