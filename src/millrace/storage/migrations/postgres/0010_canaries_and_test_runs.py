"""A second version that takes a share of the triggered runs, and what a test run does other than its version."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CANARIES = """
create table canaries (
  id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  version integer not null,
  stable integer not null,
  share integer not null,
  started_by varchar(36) collate "C",
  started_at bigint not null,
  outcome varchar(16) collate "C",
  ended_by varchar(36) collate "C",
  ended_at bigint,
  constraint pk_canaries primary key (id),
  constraint ck_canaries_share check (share between 1 and 9999),
  constraint ck_canaries_outcome check (outcome in ('promoted', 'stopped', 'replaced')),
  constraint ck_canaries_ended check ((outcome is null) = (ended_at is null))
)"""

INDEXES = (
    "create index ix_canaries_workflow_id_id on canaries (workflow_id, id)",
    "create unique index uq_canaries_live on canaries (workflow_id) where ended_at is null",
)

TEST_RUNS = """
create table test_runs (
  run_id varchar(36) collate "C" not null,
  definition text not null,
  terms text not null,
  created_at bigint not null,
  constraint pk_test_runs primary key (run_id)
)"""


def upgrade() -> None:
    op.execute(CANARIES)
    for index in INDEXES:
        op.execute(index)
    op.execute(TEST_RUNS)


def downgrade() -> None:
    op.execute("drop table test_runs")
    op.execute("drop table canaries")
