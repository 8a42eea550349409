"""What triggers beside schedules need: routes, events from outside, backfills, followers of runs, mail of test mode."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROUTES = """
create table trigger_routes (
  kind varchar(16) collate "C" not null,
  key varchar(512) collate "C" not null,
  trigger_id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  constraint pk_trigger_routes primary key (kind, key, trigger_id),
  constraint ck_trigger_routes_kind check (kind in ('webhook', 'event'))
)"""

BACKFILLS = """
create table backfills (
  id varchar(36) collate "C" not null,
  trigger_id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  schedule text not null,
  range_from bigint not null,
  range_until bigint not null,
  at_once integer not null,
  again boolean not null,
  stop_on_failure boolean not null,
  status varchar(16) collate "C" not null,
  reason text,
  total integer not null,
  decided_until bigint not null,
  under_way text default '[]' not null,
  fired_before integer default 0 not null,
  started integer default 0 not null,
  skipped integer default 0 not null,
  refused integer default 0 not null,
  completed integer default 0 not null,
  failed integer default 0 not null,
  revision integer default 1 not null,
  created_by varchar(36) collate "C",
  created_at bigint not null,
  updated_at bigint not null,
  finished_at bigint,
  constraint pk_backfills primary key (id),
  constraint ck_backfills_status check (status in ('running', 'paused', 'completed', 'cancelled', 'failed'))
)"""

FOLLOWERS = """
create table followers (
  name varchar(64) collate "C" not null,
  position text not null,
  moved_at bigint not null,
  constraint pk_followers primary key (name)
)"""

MAILS = """
create table mails (
  id varchar(36) collate "C" not null,
  key varchar(512) collate "C" not null,
  recipient varchar(320) collate "C" not null,
  content text not null,
  due_at bigint,
  tries integer default 0 not null,
  last_error text,
  created_at bigint not null,
  sent_at bigint,
  constraint pk_mails primary key (id),
  constraint uq_mails_key unique (key)
)"""

INDEXES = (
    "create unique index uq_trigger_routes_webhook on trigger_routes (key) where kind = 'webhook'",
    "create index ix_trigger_routes_trigger_id on trigger_routes (trigger_id)",
    "create index ix_backfills_trigger_id_id on backfills (trigger_id, id)",
    "create index ix_backfills_open on backfills (id) where finished_at is null",
    "create index ix_mails_due_at on mails (due_at) where due_at is not null",
    "create index ix_triggers_awaiting on triggers (id) "
    "where next_due_at is null and active and type || '' = 'interval'",
    "create index ix_events_unrouted on events (id) where routed_at is null",
    "create unique index uq_events_source_external_id on events (source, external_id) where external_id is not null",
)


def upgrade() -> None:
    for table in (ROUTES, BACKFILLS, FOLLOWERS, MAILS):
        op.execute(table)
    op.execute("alter table workflows add test_mode text")
    op.execute(
        'alter table events add external_id varchar(255) collate "C", add occurred_at bigint, add attributes text, '
        "add routed_at bigint"
    )
    # Nobody routed those that are there already; what happened long ago starts nothing.
    op.execute("update events set routed_at = at")
    for index in INDEXES:
        op.execute(index)


def downgrade() -> None:
    for table in ("mails", "followers", "backfills", "trigger_routes"):
        op.execute(f"drop table {table}")
    op.execute("alter table events drop external_id, drop occurred_at, drop attributes, drop routed_at")
    op.execute("alter table workflows drop test_mode")
    op.execute("drop index ix_triggers_awaiting")
