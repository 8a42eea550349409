create table artifacts (
  id varchar(36) collate "C" not null,
  name varchar(255) collate "C" not null,
  media_type varchar(255) collate "C" not null,
  size bigint not null,
  sha256 varchar(64) collate "C" not null,
  object_key varchar(512) collate "C" not null,
  run_id varchar(36) collate "C",
  path varchar(512) collate "C",
  attempt integer,
  created_by varchar(36) collate "C",
  created_at bigint not null,
  expires_at bigint,
  constraint pk_artifacts primary key (id)
);

create index ix_artifacts_expires_at on artifacts (expires_at) where expires_at is not null;
create index ix_artifacts_run_id_id on artifacts (run_id, id) where run_id is not null;

create table attempts (
  run_id varchar(36) collate "C" not null,
  path varchar(512) collate "C" not null,
  number integer not null,
  token varchar(36) collate "C" not null,
  status varchar(16) collate "C" not null,
  queue varchar(64) collate "C" not null,
  priority integer default 0 not null,
  incarnation_id varchar(36) collate "C",
  error text,
  limit_key varchar(255) collate "C",
  limit_size integer,
  type_key varchar(64) collate "C",
  timeout_us bigint,
  queue_until bigint,
  expires_at bigint,
  available_at bigint not null,
  deadline_at bigint,
  started_at bigint,
  finished_at bigint,
  constraint pk_attempts primary key (run_id, path, number),
  constraint ck_attempts_possible check (is_possible_attempt(status, finished_at))
) with (fillfactor = 80);

create index ix_attempts_available_at on attempts (available_at) where status = 'scheduled';
create index ix_attempts_incarnation on attempts (incarnation_id) where status = 'running';
create index ix_attempts_limit_key on attempts (limit_key, priority desc, available_at) where limit_key is not null and finished_at is null;
create index ix_attempts_limit_running on attempts (limit_key) where limit_key is not null and status = 'running';
create index ix_attempts_limit_size on attempts (limit_key, limit_size) where limit_key is not null and finished_at is null;
create index ix_attempts_queue on attempts (queue, priority desc, available_at) where status = 'scheduled' and limit_key is null and type_key is null;
create index ix_attempts_queue_until on attempts (queue_until) where status = 'scheduled' and queue_until is not null;
create index ix_attempts_type_key on attempts (type_key, priority desc, available_at) where type_key is not null and finished_at is null;
create index ix_attempts_type_running on attempts (type_key) where type_key is not null and status = 'running';
create unique index uq_attempts_live on attempts (run_id, path) where finished_at is null;

create table changes (
  position bigint not null,
  run_id varchar(36) collate "C" not null,
  first_seq bigint not null,
  last_seq bigint not null,
  constraint pk_changes primary key (position)
);

create table connections (
  name varchar(255) collate "C" not null,
  type varchar(32) collate "C" not null,
  description text,
  config text not null,
  sealed text,
  key_id varchar(64) collate "C",
  version integer not null,
  created_by varchar(36) collate "C",
  updated_by varchar(36) collate "C",
  created_at bigint not null,
  updated_at bigint not null,
  constraint pk_connections primary key (name)
);

create table deletions (
  run_id varchar(36) collate "C" not null,
  whole boolean not null,
  size bigint not null,
  constraint pk_deletions primary key (run_id)
);

create table encryption_keys (
  id varchar(64) collate "C" not null,
  check_value text not null,
  created_at bigint not null,
  constraint pk_encryption_keys primary key (id)
);

create table events (
  id varchar(36) collate "C" not null,
  type varchar(255) collate "C" not null,
  source varchar(255) collate "C" not null,
  subject varchar(255) collate "C",
  data text,
  run_id varchar(36) collate "C",
  task_path varchar(512) collate "C",
  causation_depth integer default 0 not null,
  at bigint not null,
  constraint pk_events primary key (id),
  constraint uq_events_run_id_task_path unique (run_id, task_path)
);

create index ix_events_type_id on events (type, id);

create table firings (
  id varchar(36) collate "C" not null,
  trigger_id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  start_key varchar(255) collate "C" not null,
  due_at bigint,
  due_until bigint,
  count integer default 1 not null,
  decision varchar(16) collate "C" not null,
  reason text,
  run_id varchar(36) collate "C",
  at bigint not null,
  constraint pk_firings primary key (id),
  constraint ck_firings_decision check (decision in ('started', 'skipped', 'refused', 'missed', 'failed'))
);

create index ix_firings_trigger_id_id on firings (trigger_id, id);
create index ix_firings_workflow_id_id on firings (workflow_id, id);

create table inbox (
  id varchar(36) collate "C" not null,
  run_id varchar(36) collate "C" not null,
  kind varchar(32) collate "C" not null,
  data text not null,
  created_at bigint not null,
  constraint pk_inbox primary key (id)
);

create index ix_inbox_run_id on inbox (run_id);

create table incarnations (
  id varchar(36) collate "C" not null,
  host varchar(255) collate "C" not null,
  pid integer not null,
  queues text not null,
  slots integer not null,
  started_at bigint not null,
  heartbeat_at bigint not null,
  lease_until bigint not null,
  lost_at bigint,
  retired_at bigint,
  constraint pk_incarnations primary key (id)
) with (fillfactor = 80);

create index ix_incarnations_live on incarnations (lease_until) where lost_at is null and retired_at is null;

create table installation (
  id varchar(36) collate "C" not null,
  created_at bigint not null,
  constraint pk_installation primary key (id)
);

create table limits (
  key varchar(255) collate "C" not null,
  next_free_at bigint,
  constraint pk_limits primary key (key)
) with (fillfactor = 80);

create table logs (
  run_id varchar(36) collate "C" not null,
  seq bigint not null,
  path varchar(512) collate "C",
  attempt integer,
  level varchar(8) collate "C" not null,
  text text not null,
  metadata text,
  at bigint not null,
  constraint pk_logs primary key (run_id, seq),
  constraint ck_logs_level check ((level = 'debug' or level = 'error' or level = 'info' or level = 'warning'))
) partition by range (run_id);

create table operations (
  id varchar(36) collate "C" not null,
  kind varchar(16) collate "C" not null,
  request text not null,
  status varchar(16) collate "C" not null,
  position varchar(36) collate "C",
  total integer not null,
  done integer default 0 not null,
  failed integer default 0 not null,
  error text,
  created_by varchar(36) collate "C",
  created_at bigint not null,
  finished_at bigint,
  constraint pk_operations primary key (id),
  constraint ck_operations_status check (status in ('running', 'completed', 'failed'))
);

create index ix_operations_running on operations (id) where status = 'running';

create table records (
  run_id varchar(36) collate "C" not null,
  seq bigint not null,
  type varchar(64) collate "C" not null,
  path varchar(512) collate "C",
  data text,
  at bigint not null,
  constraint pk_records primary key (run_id, seq)
) partition by range (run_id);

create table retention_rounds (
  id varchar(36) collate "C" not null,
  cause varchar(16) collate "C" not null,
  runs integer default 0 not null,
  payloads integer default 0 not null,
  firings integer default 0 not null,
  events integer default 0 not null,
  operations integer default 0 not null,
  incarnations integer default 0 not null,
  error text,
  started_at bigint not null,
  finished_at bigint,
  constraint pk_retention_rounds primary key (id),
  constraint ck_retention_rounds_cause check (cause in ('schedule', 'request'))
);

create table runs (
  id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  version_id varchar(36) collate "C" not null,
  status varchar(16) collate "C" not null,
  phase varchar(16) collate "C" not null,
  outcome varchar(16) collate "C",
  wind_up varchar(16) collate "C",
  cancels integer default 0 not null,
  revision bigint not null,
  last_seq bigint not null,
  last_log bigint default 0 not null,
  trigger_type varchar(32) collate "C" not null,
  trigger_id varchar(64) collate "C",
  triggered_by varchar(36) collate "C",
  trigger_data text default '{}' not null,
  input text default '{}' not null,
  variables text default '{}' not null,
  output text,
  error text,
  correlation_id varchar(255) collate "C",
  priority integer default 0 not null,
  admission_key varchar(255) collate "C",
  admission_limit integer,
  admitted_at bigint,
  run_at bigint,
  when_full varchar(16) collate "C",
  rate_key varchar(255) collate "C",
  rate_limit integer,
  rate_period_us bigint,
  root_run_id varchar(36) collate "C" not null,
  parent_run_id varchar(36) collate "C",
  retry_of varchar(36) collate "C",
  causation_depth integer default 0 not null,
  cancelled_by varchar(36) collate "C",
  cancelled_at bigint,
  created_at bigint not null,
  started_at bigint,
  finished_at bigint,
  payloads_deleted_at bigint,
  constraint pk_runs primary key (id),
  constraint ck_runs_possible check (is_possible_run(status, phase, outcome, finished_at))
) with (fillfactor = 80);

create index ix_runs_admitted on runs (admission_key) where admission_key is not null and admitted_at is not null and finished_at is null;
create index ix_runs_correlation_id_id on runs (correlation_id, id) where correlation_id is not null;
create index ix_runs_ended_badly on runs (workflow_id, id) where status in ('failed', 'cancelled');
create index ix_runs_root_run_id on runs (root_run_id) where root_run_id <> id;
create index ix_runs_status_id on runs (status, id) where status <> 'completed';
create index ix_runs_unadmitted on runs (admission_key, rate_key, priority desc, id) where admission_key is not null and admitted_at is null and finished_at is null;
create index ix_runs_workflow_id_id on runs (workflow_id, id);

create table secrets (
  name varchar(255) collate "C" not null,
  description text,
  sealed text not null,
  key_id varchar(64) collate "C" not null,
  version integer not null,
  created_by varchar(36) collate "C",
  updated_by varchar(36) collate "C",
  created_at bigint not null,
  updated_at bigint not null,
  constraint pk_secrets primary key (name)
);

create table start_keys (
  namespace varchar(16) collate "C" not null,
  scope varchar(64) collate "C" not null,
  key varchar(255) collate "C" not null,
  request_hash varchar(64) collate "C" not null,
  run_id varchar(36) collate "C" not null,
  expires_at bigint not null,
  constraint pk_start_keys primary key (namespace, scope, key)
);

create index ix_start_keys_expires_at on start_keys (expires_at);

create table task_runs (
  run_id varchar(36) collate "C" not null,
  path varchar(512) collate "C" not null,
  type varchar(64) collate "C" not null,
  status varchar(16) collate "C" not null,
  attempt integer default 0 not null,
  live boolean default false not null,
  failures integer default 0 not null,
  crashes integer default 0 not null,
  skip_reason varchar(16) collate "C",
  input text,
  output text,
  error text,
  worker varchar(36) collate "C",
  adopted_from varchar(36) collate "C",
  revision bigint not null,
  ready_at bigint,
  available_at bigint,
  started_at bigint,
  finished_at bigint,
  constraint pk_task_runs primary key (run_id, path),
  constraint ck_task_runs_possible check (is_possible_task_run(status, finished_at))
) with (fillfactor = 80);

create table timers (
  run_id varchar(36) collate "C" not null,
  kind varchar(32) collate "C" not null,
  fire_at bigint not null,
  constraint pk_timers primary key (run_id, kind)
);

create index ix_timers_fire_at on timers (fire_at);

create table users (
  id varchar(36) collate "C" not null,
  email varchar(320) collate "C" not null,
  name varchar(255) collate "C" not null,
  role varchar(32) collate "C" not null,
  created_at bigint not null,
  disabled_at bigint,
  constraint pk_users primary key (id),
  constraint uq_users_email unique (email)
);

create table workflows (
  id varchar(36) collate "C" not null,
  name varchar(255) collate "C" not null,
  slug varchar(255) collate "C" not null,
  description text,
  category varchar(255) collate "C",
  labels text default '{}' not null,
  metadata text default '{}' not null,
  owner varchar(255) collate "C",
  status varchar(16) collate "C" not null,
  newest_version integer not null,
  deployed_version integer,
  created_by varchar(36) collate "C",
  updated_by varchar(36) collate "C",
  created_at bigint not null,
  updated_at bigint not null,
  deleted_at bigint,
  constraint pk_workflows primary key (id),
  constraint ck_workflows_status check (status in ('draft', 'active', 'paused', 'inactive', 'archived'))
);

create unique index uq_workflows_name_live on workflows (name) where deleted_at is null;
create unique index uq_workflows_slug_live on workflows (slug) where deleted_at is null;

create table api_keys (
  id varchar(36) collate "C" not null,
  user_id varchar(36) collate "C" not null,
  name varchar(255) collate "C" not null,
  prefix varchar(16) collate "C" not null,
  key_hash varchar(64) collate "C" not null,
  created_at bigint not null,
  expires_at bigint,
  revoked_at bigint,
  last_used_at bigint,
  constraint pk_api_keys primary key (id),
  constraint fk_api_keys_user_id foreign key(user_id) references users (id),
  constraint uq_api_keys_key_hash unique (key_hash)
);

create table deployments (
  id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  version integer,
  action varchar(16) collate "C" not null,
  outcome varchar(16) collate "C" not null,
  message text,
  deployed_by varchar(36) collate "C",
  at bigint not null,
  constraint pk_deployments primary key (id),
  constraint ck_deployments_action check (action in ('deploy', 'undeploy', 'rollback')),
  constraint ck_deployments_outcome check (outcome in ('succeeded', 'failed')),
  constraint fk_deployments_workflow_id foreign key(workflow_id) references workflows (id)
);

create index ix_deployments_workflow_id_id on deployments (workflow_id, id);

create table task_uids (
  workflow_id varchar(36) collate "C" not null,
  task_id varchar(255) collate "C" not null,
  uid varchar(36) collate "C" not null,
  constraint pk_task_uids primary key (workflow_id, task_id),
  constraint fk_task_uids_workflow_id foreign key(workflow_id) references workflows (id),
  constraint uq_task_uids_uid unique (uid)
);

create table triggers (
  id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  origin varchar(16) collate "C" not null,
  name varchar(255) collate "C" not null,
  type varchar(32) collate "C" not null,
  declared boolean default true not null,
  enabled boolean not null,
  active boolean default false not null,
  condition text,
  config text not null,
  input text not null,
  version_id varchar(36) collate "C",
  jitter_us bigint default 0 not null,
  next_due_at bigint,
  decided_until bigint,
  last_fired_at bigint,
  last_run_id varchar(36) collate "C",
  last_error text,
  fired_count bigint default 0 not null,
  started_count bigint default 0 not null,
  failed_count bigint default 0 not null,
  missed_count bigint default 0 not null,
  revision integer default 1 not null,
  created_at bigint not null,
  updated_at bigint not null,
  constraint pk_triggers primary key (id),
  constraint ck_triggers_origin check (origin in ('definition', 'api')),
  constraint uq_triggers_workflow_id_origin_name unique (workflow_id, origin, name),
  constraint fk_triggers_workflow_id foreign key(workflow_id) references workflows (id)
) with (fillfactor = 80);

create index ix_triggers_type_id on triggers (type, id);
create index ix_triggers_wake on triggers ((next_due_at + jitter_us)) where next_due_at is not null;

create table workflow_sources (
  workflow_id varchar(36) collate "C" not null,
  source varchar(200) collate "C" not null,
  applied_by varchar(36) collate "C",
  applied_at bigint not null,
  constraint pk_workflow_sources primary key (workflow_id),
  constraint fk_workflow_sources_workflow_id foreign key(workflow_id) references workflows (id)
);

create index ix_workflow_sources_source on workflow_sources (source);

create table workflow_versions (
  id varchar(36) collate "C" not null,
  workflow_id varchar(36) collate "C" not null,
  number integer not null,
  tag varchar(64) collate "C",
  definition text not null,
  content_hash varchar(64) collate "C" not null,
  author varchar(36) collate "C",
  comment text,
  created_at bigint not null,
  constraint pk_workflow_versions primary key (id),
  constraint uq_workflow_versions_workflow_id_number unique (workflow_id, number),
  constraint uq_workflow_versions_workflow_id_tag unique (workflow_id, tag),
  constraint fk_workflow_versions_workflow_id foreign key(workflow_id) references workflows (id)
);
