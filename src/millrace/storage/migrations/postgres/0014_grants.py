"""What a user may do with a single workflow, and users who may do nothing else."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

USERS = """alter table users add column access varchar(16) collate "C" not null default 'all'"""

GRANTS = """
create table grants (
  user_id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  "grant" varchar(16) collate "C" not null,
  granted_by varchar(36) collate "C",
  granted_at bigint not null,
  constraint pk_grants primary key (user_id, workflow_id, "grant"),
  constraint fk_grants_user_id foreign key (user_id) references users (id),
  constraint fk_grants_workflow_id foreign key (workflow_id) references workflows (id),
  constraint ck_grants_grant check ("grant" in ('view', 'run', 'edit', 'approve'))
)"""

INDEX = "create index ix_grants_workflow_id_user_id on grants (workflow_id, user_id)"


def upgrade() -> None:
    for statement in (USERS, GRANTS, INDEX):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table grants")
    op.execute("alter table users drop column access")
