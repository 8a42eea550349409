"""Agents: services that tasks call, and the history of their health."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AGENTS = """
create table agents (
  id varchar(36) collate "C" not null,
  name varchar(100) collate "C" not null,
  url text not null,
  description text,
  auth_type varchar(16) collate "C" not null,
  auth_config text not null,
  sealed text,
  key_id varchar(64) collate "C",
  timeout_ms integer not null,
  retry_config text not null,
  max_concurrent integer,
  health_path text not null,
  status varchar(16) collate "C" not null,
  version integer not null,
  health varchar(16) collate "C" default 'unknown' not null,
  health_message text,
  health_latency_ms integer,
  health_checked_at bigint,
  health_claimed_at bigint,
  circuit_failures integer default 0 not null,
  circuit_open_until bigint,
  circuit_trial_until bigint,
  created_by varchar(36) collate "C",
  updated_by varchar(36) collate "C",
  created_at bigint not null,
  updated_at bigint not null,
  constraint pk_agents primary key (id),
  constraint ck_agents_status check (status in ('active', 'inactive', 'deleted')),
  constraint ck_agents_auth_type check (auth_type in ('none', 'bearer', 'apikey')),
  constraint ck_agents_health check (health in ('unknown', 'healthy', 'unhealthy')),
  constraint ck_agents_forgotten check (status <> 'deleted' or sealed is null)
)"""

CHECKS = """
create table agent_checks (
  id varchar(36) collate "C" not null,
  agent_id varchar(36) collate "C" not null,
  asked boolean not null,
  healthy boolean not null,
  http_status integer,
  latency_ms integer not null,
  message text,
  at bigint not null,
  constraint pk_agent_checks primary key (id)
)"""

INDEXES = (
    "create unique index uq_agents_name on agents (name) where status <> 'deleted'",
    "create index ix_agents_name_id on agents (name, id)",
    "create index ix_agent_checks_agent_id_id on agent_checks (agent_id, id)",
)


def upgrade() -> None:
    op.execute(AGENTS)
    op.execute(CHECKS)
    for index in INDEXES:
        op.execute(index)
    # A key with the name of an agent in it is longer than any type. Only the catalog is written for this.
    op.execute('alter table attempts alter type_key type varchar(128) collate "C"')


def downgrade() -> None:
    # Attempts under the limit of an agent go on without one, as those of a release that knows none.
    op.execute("update attempts set type_key = null where length(type_key) > 64")
    op.execute('alter table attempts alter type_key type varchar(64) collate "C"')
    op.execute("drop table agent_checks")
    op.execute("drop table agents")
