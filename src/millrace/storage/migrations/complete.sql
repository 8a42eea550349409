CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE attempts (
    run_id VARCHAR(36) NOT NULL,
    path VARCHAR(512) NOT NULL,
    number INTEGER NOT NULL,
    token VARCHAR(36) NOT NULL,
    status VARCHAR(16) NOT NULL,
    queue VARCHAR(64) NOT NULL,
    priority INTEGER DEFAULT '0' NOT NULL,
    incarnation_id VARCHAR(36),
    error TEXT,
    timeout_us BIGINT,
    expires_at BIGINT,
    available_at BIGINT NOT NULL,
    deadline_at BIGINT,
    started_at BIGINT,
    finished_at BIGINT, limit_key VARCHAR(255), limit_size INTEGER, type_key VARCHAR(64), queue_until BIGINT,
    CONSTRAINT pk_attempts PRIMARY KEY (run_id, path, number),
    CONSTRAINT ck_attempts_finished CHECK ((finished_at is not null) = ((status = 'cancelled' or status = 'completed' or status = 'failed' or status = 'lost'))),
    CONSTRAINT ck_attempts_status CHECK ((status = 'cancelled' or status = 'completed' or status = 'failed' or status = 'lost' or status = 'running' or status = 'scheduled'))
)
 WITHOUT ROWID;
CREATE INDEX ix_attempts_incarnation ON attempts (incarnation_id) WHERE status = 'running';
CREATE UNIQUE INDEX uq_attempts_live ON attempts (run_id, path) WHERE finished_at is null;
CREATE TABLE inbox (
    id VARCHAR(36) NOT NULL,
    run_id VARCHAR(36) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_inbox PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_inbox_run_id ON inbox (run_id);
CREATE TABLE incarnations (
    id VARCHAR(36) NOT NULL,
    host VARCHAR(255) NOT NULL,
    pid INTEGER NOT NULL,
    queues TEXT NOT NULL,
    slots INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    lost_at BIGINT,
    retired_at BIGINT,
    CONSTRAINT pk_incarnations PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_incarnations_live ON incarnations (lease_until) WHERE lost_at is null and retired_at is null;
CREATE TABLE installation (
    id VARCHAR(36) NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_installation PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE TABLE limits (
    "key" VARCHAR(255) NOT NULL, next_free_at BIGINT,
    CONSTRAINT pk_limits PRIMARY KEY ("key")
)
 WITHOUT ROWID;
CREATE TABLE logs (
    run_id VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    path VARCHAR(512),
    attempt INTEGER,
    level VARCHAR(8) NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT,
    at BIGINT NOT NULL,
    CONSTRAINT pk_logs PRIMARY KEY (run_id, seq),
    CONSTRAINT ck_logs_level CHECK ((level = 'debug' or level = 'error' or level = 'info' or level = 'warning'))
)
 WITHOUT ROWID;
CREATE TABLE records (
    run_id VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    type VARCHAR(64) NOT NULL,
    path VARCHAR(512),
    data TEXT,
    at BIGINT NOT NULL,
    CONSTRAINT pk_records PRIMARY KEY (run_id, seq)
)
 WITHOUT ROWID;
CREATE TABLE runs (
    id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    version_id VARCHAR(36) NOT NULL,
    status VARCHAR(16) NOT NULL,
    phase VARCHAR(16) NOT NULL,
    outcome VARCHAR(16),
    wind_up VARCHAR(16),
    cancels INTEGER DEFAULT '0' NOT NULL,
    revision BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    last_log BIGINT DEFAULT '0' NOT NULL,
    trigger_type VARCHAR(32) NOT NULL,
    trigger_id VARCHAR(64),
    triggered_by VARCHAR(36),
    trigger_data TEXT DEFAULT '{}' NOT NULL,
    input TEXT DEFAULT '{}' NOT NULL,
    variables TEXT DEFAULT '{}' NOT NULL,
    output TEXT,
    error TEXT,
    correlation_id VARCHAR(255),
    priority INTEGER DEFAULT '0' NOT NULL,
    admission_key VARCHAR(255),
    admission_limit INTEGER,
    admitted_at BIGINT,
    root_run_id VARCHAR(36) NOT NULL,
    parent_run_id VARCHAR(36),
    retry_of VARCHAR(36),
    causation_depth INTEGER DEFAULT '0' NOT NULL,
    cancelled_by VARCHAR(36),
    cancelled_at BIGINT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT, run_at BIGINT, when_full VARCHAR(16), rate_key VARCHAR(255), rate_limit INTEGER, rate_period_us BIGINT, payloads_deleted_at BIGINT, parent_path VARCHAR(512), signals TEXT, ahead TEXT,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT ck_runs_finished CHECK ((finished_at is not null) = ((status = 'cancelled' or status = 'completed' or status = 'failed'))),
    CONSTRAINT ck_runs_outcome CHECK (outcome is null or (outcome = 'cancelled' or outcome = 'completed' or outcome = 'failed')),
    CONSTRAINT ck_runs_phase CHECK ((phase = 'finally' or phase = 'main' or phase = 'on_failure' or phase = 'rollback')),
    CONSTRAINT ck_runs_status CHECK ((status = 'cancelled' or status = 'cancelling' or status = 'completed' or status = 'failed' or status = 'paused' or status = 'pending' or status = 'running' or status = 'waiting'))
)
 WITHOUT ROWID;
CREATE INDEX ix_runs_admitted ON runs (admission_key) WHERE admission_key is not null and admitted_at is not null and finished_at is null;
CREATE INDEX ix_runs_correlation_id_id ON runs (correlation_id, id) WHERE correlation_id is not null;
CREATE INDEX ix_runs_workflow_id_id ON runs (workflow_id, id);
CREATE TABLE start_keys (
    namespace VARCHAR(16) NOT NULL,
    scope VARCHAR(64) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    request_hash VARCHAR(64) NOT NULL,
    run_id VARCHAR(36) NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT pk_start_keys PRIMARY KEY (namespace, scope, "key")
)
 WITHOUT ROWID;
CREATE INDEX ix_start_keys_expires_at ON start_keys (expires_at);
CREATE TABLE task_runs (
    run_id VARCHAR(36) NOT NULL,
    path VARCHAR(512) NOT NULL,
    type VARCHAR(64) NOT NULL,
    status VARCHAR(16) NOT NULL,
    attempt INTEGER DEFAULT '0' NOT NULL,
    live BOOLEAN DEFAULT 0 NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    crashes INTEGER DEFAULT '0' NOT NULL,
    skip_reason VARCHAR(16),
    input TEXT,
    output TEXT,
    error TEXT,
    worker VARCHAR(36),
    revision BIGINT NOT NULL,
    ready_at BIGINT,
    available_at BIGINT,
    started_at BIGINT,
    finished_at BIGINT, adopted_from VARCHAR(36), block TEXT, size INTEGER, awaits TEXT, child_run_id VARCHAR(36),
    CONSTRAINT pk_task_runs PRIMARY KEY (run_id, path),
    CONSTRAINT ck_task_runs_finished CHECK ((finished_at is not null) = ((status = 'cancelled' or status = 'completed' or status = 'failed' or status = 'skipped'))),
    CONSTRAINT ck_task_runs_status CHECK ((status = 'cancelled' or status = 'cancelling' or status = 'completed' or status = 'failed' or status = 'pending' or status = 'ready' or status = 'running' or status = 'skipped' or status = 'waiting'))
)
 WITHOUT ROWID;
CREATE TABLE timers (
    run_id VARCHAR(36) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    fire_at BIGINT NOT NULL,
    CONSTRAINT pk_timers PRIMARY KEY (run_id, kind)
)
 WITHOUT ROWID;
CREATE INDEX ix_timers_fire_at ON timers (fire_at);
CREATE TABLE users (
    id VARCHAR(36) NOT NULL,
    email VARCHAR(320) NOT NULL,
    name VARCHAR(255) NOT NULL,
    role VARCHAR(32) NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT, kind VARCHAR(16) DEFAULT 'person' NOT NULL, password_hash TEXT, password_set_at BIGINT, must_change_password BOOLEAN DEFAULT 0 NOT NULL, last_login_at BIGINT, updated_at BIGINT, deleted_at BIGINT, access VARCHAR(16) DEFAULT 'all' NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_email UNIQUE (email)
)
 WITHOUT ROWID;
CREATE TABLE workflows (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    slug VARCHAR(255) NOT NULL,
    description TEXT,
    category VARCHAR(255),
    labels TEXT DEFAULT '{}' NOT NULL,
    metadata TEXT DEFAULT '{}' NOT NULL,
    owner VARCHAR(255),
    status VARCHAR(16) NOT NULL,
    newest_version INTEGER NOT NULL,
    deployed_version INTEGER,
    created_by VARCHAR(36),
    updated_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT, test_mode TEXT,
    CONSTRAINT pk_workflows PRIMARY KEY (id),
    CONSTRAINT ck_workflows_status CHECK (status in ('draft', 'active', 'paused', 'inactive', 'archived'))
)
 WITHOUT ROWID;
CREATE UNIQUE INDEX uq_workflows_name_live ON workflows (name) WHERE deleted_at is null;
CREATE UNIQUE INDEX uq_workflows_slug_live ON workflows (slug) WHERE deleted_at is null;
CREATE TABLE api_keys (
    id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    prefix VARCHAR(16) NOT NULL,
    key_hash VARCHAR(64) NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT, scopes TEXT, created_by VARCHAR(36), replaces VARCHAR(36),
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT fk_api_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_api_keys_key_hash UNIQUE (key_hash)
)
 WITHOUT ROWID;
CREATE TABLE workflow_versions (
    id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    number INTEGER NOT NULL,
    tag VARCHAR(64),
    definition TEXT NOT NULL,
    content_hash VARCHAR(64) NOT NULL,
    author VARCHAR(36),
    comment TEXT,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_workflow_versions PRIMARY KEY (id),
    CONSTRAINT fk_workflow_versions_workflow_id FOREIGN KEY(workflow_id) REFERENCES workflows (id),
    CONSTRAINT uq_workflow_versions_workflow_id_number UNIQUE (workflow_id, number),
    CONSTRAINT uq_workflow_versions_workflow_id_tag UNIQUE (workflow_id, tag)
)
 WITHOUT ROWID;
CREATE INDEX ix_attempts_queue ON attempts (queue, priority desc, available_at) WHERE status = 'scheduled';
CREATE TABLE artifacts (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    media_type VARCHAR(255) NOT NULL,
    size BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    object_key VARCHAR(512) NOT NULL,
    run_id VARCHAR(36),
    path VARCHAR(512),
    attempt INTEGER,
    created_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    CONSTRAINT pk_artifacts PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_artifacts_expires_at ON artifacts (expires_at) WHERE expires_at is not null;
CREATE INDEX ix_artifacts_run_id_id ON artifacts (run_id, id) WHERE run_id is not null;
CREATE TABLE connections (
    name VARCHAR(255) NOT NULL,
    type VARCHAR(32) NOT NULL,
    description TEXT,
    config TEXT NOT NULL,
    sealed TEXT,
    key_id VARCHAR(64),
    version INTEGER NOT NULL,
    created_by VARCHAR(36),
    updated_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL, workflows TEXT,
    CONSTRAINT pk_connections PRIMARY KEY (name)
)
 WITHOUT ROWID;
CREATE TABLE deletions (
    run_id VARCHAR(36) NOT NULL,
    whole BOOLEAN NOT NULL,
    size BIGINT NOT NULL,
    CONSTRAINT pk_deletions PRIMARY KEY (run_id)
)
 WITHOUT ROWID;
CREATE TABLE encryption_keys (
    id VARCHAR(64) NOT NULL,
    check_value TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_encryption_keys PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE TABLE events (
    id VARCHAR(36) NOT NULL,
    type VARCHAR(255) NOT NULL,
    source VARCHAR(255) NOT NULL,
    subject VARCHAR(255),
    data TEXT,
    run_id VARCHAR(36),
    task_path VARCHAR(512),
    causation_depth INTEGER DEFAULT '0' NOT NULL,
    at BIGINT NOT NULL, external_id VARCHAR(255), occurred_at BIGINT, attributes TEXT, routed_at BIGINT, told_at BIGINT,
    CONSTRAINT pk_events PRIMARY KEY (id),
    CONSTRAINT uq_events_run_id_task_path UNIQUE (run_id, task_path)
)
 WITHOUT ROWID;
CREATE INDEX ix_events_type_id ON events (type, id);
CREATE TABLE firings (
    id VARCHAR(36) NOT NULL,
    trigger_id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    start_key VARCHAR(255) NOT NULL,
    due_at BIGINT,
    due_until BIGINT,
    count INTEGER DEFAULT '1' NOT NULL,
    decision VARCHAR(16) NOT NULL,
    reason TEXT,
    run_id VARCHAR(36),
    at BIGINT NOT NULL,
    CONSTRAINT pk_firings PRIMARY KEY (id),
    CONSTRAINT ck_firings_decision CHECK (decision in ('started', 'skipped', 'refused', 'missed', 'failed'))
)
 WITHOUT ROWID;
CREATE INDEX ix_firings_trigger_id_id ON firings (trigger_id, id);
CREATE INDEX ix_firings_workflow_id_id ON firings (workflow_id, id);
CREATE TABLE operations (
    id VARCHAR(36) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    request TEXT NOT NULL,
    status VARCHAR(16) NOT NULL,
    position VARCHAR(36),
    total INTEGER NOT NULL,
    done INTEGER DEFAULT '0' NOT NULL,
    failed INTEGER DEFAULT '0' NOT NULL,
    error TEXT,
    created_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    CONSTRAINT pk_operations PRIMARY KEY (id),
    CONSTRAINT ck_operations_status CHECK (status in ('running', 'completed', 'failed'))
)
 WITHOUT ROWID;
CREATE INDEX ix_operations_running ON operations (id) WHERE status = 'running';
CREATE TABLE retention_rounds (
    id VARCHAR(36) NOT NULL,
    cause VARCHAR(16) NOT NULL,
    runs INTEGER DEFAULT '0' NOT NULL,
    payloads INTEGER DEFAULT '0' NOT NULL,
    firings INTEGER DEFAULT '0' NOT NULL,
    events INTEGER DEFAULT '0' NOT NULL,
    error TEXT,
    started_at BIGINT NOT NULL,
    finished_at BIGINT, operations INTEGER DEFAULT '0' NOT NULL, incarnations INTEGER DEFAULT '0' NOT NULL, archived INTEGER DEFAULT '0' NOT NULL, archives INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT pk_retention_rounds PRIMARY KEY (id),
    CONSTRAINT ck_retention_rounds_cause CHECK (cause in ('schedule', 'request'))
)
 WITHOUT ROWID;
CREATE TABLE secrets (
    name VARCHAR(255) NOT NULL,
    description TEXT,
    sealed TEXT NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    version INTEGER NOT NULL,
    created_by VARCHAR(36),
    updated_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL, workflows TEXT, hosts TEXT,
    CONSTRAINT pk_secrets PRIMARY KEY (name)
)
 WITHOUT ROWID;
CREATE TABLE deployments (
    id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    version INTEGER,
    action VARCHAR(16) NOT NULL,
    outcome VARCHAR(16) NOT NULL,
    message TEXT,
    deployed_by VARCHAR(36),
    at BIGINT NOT NULL,
    CONSTRAINT pk_deployments PRIMARY KEY (id),
    CONSTRAINT ck_deployments_action CHECK (action in ('deploy', 'undeploy', 'rollback')),
    CONSTRAINT ck_deployments_outcome CHECK (outcome in ('succeeded', 'failed')),
    CONSTRAINT fk_deployments_workflow_id FOREIGN KEY(workflow_id) REFERENCES workflows (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_deployments_workflow_id_id ON deployments (workflow_id, id);
CREATE TABLE task_uids (
    workflow_id VARCHAR(36) NOT NULL,
    task_id VARCHAR(255) NOT NULL,
    uid VARCHAR(36) NOT NULL,
    CONSTRAINT pk_task_uids PRIMARY KEY (workflow_id, task_id),
    CONSTRAINT fk_task_uids_workflow_id FOREIGN KEY(workflow_id) REFERENCES workflows (id),
    CONSTRAINT uq_task_uids_uid UNIQUE (uid)
)
 WITHOUT ROWID;
CREATE TABLE triggers (
    id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    origin VARCHAR(16) NOT NULL,
    name VARCHAR(255) NOT NULL,
    type VARCHAR(32) NOT NULL,
    declared BOOLEAN DEFAULT 1 NOT NULL,
    enabled BOOLEAN NOT NULL,
    active BOOLEAN DEFAULT 0 NOT NULL,
    condition TEXT,
    config TEXT NOT NULL,
    input TEXT NOT NULL,
    version_id VARCHAR(36),
    jitter_us BIGINT DEFAULT '0' NOT NULL,
    next_due_at BIGINT,
    decided_until BIGINT,
    last_fired_at BIGINT,
    last_run_id VARCHAR(36),
    last_error TEXT,
    fired_count BIGINT DEFAULT '0' NOT NULL,
    started_count BIGINT DEFAULT '0' NOT NULL,
    failed_count BIGINT DEFAULT '0' NOT NULL,
    missed_count BIGINT DEFAULT '0' NOT NULL,
    revision INTEGER DEFAULT '1' NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_triggers PRIMARY KEY (id),
    CONSTRAINT ck_triggers_origin CHECK (origin in ('definition', 'api')),
    CONSTRAINT fk_triggers_workflow_id FOREIGN KEY(workflow_id) REFERENCES workflows (id),
    CONSTRAINT uq_triggers_workflow_id_origin_name UNIQUE (workflow_id, origin, name)
)
 WITHOUT ROWID;
CREATE INDEX ix_triggers_wake ON triggers ((next_due_at + jitter_us)) WHERE next_due_at is not null;
CREATE INDEX ix_triggers_type_id ON triggers (type, id);
CREATE TABLE workflow_sources (
    workflow_id VARCHAR(36) NOT NULL,
    source VARCHAR(200) NOT NULL,
    applied_by VARCHAR(36),
    applied_at BIGINT NOT NULL,
    CONSTRAINT pk_workflow_sources PRIMARY KEY (workflow_id),
    CONSTRAINT fk_workflow_sources_workflow_id FOREIGN KEY(workflow_id) REFERENCES workflows (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_workflow_sources_source ON workflow_sources (source);
CREATE INDEX ix_attempts_queue_until ON attempts (queue_until) WHERE status = 'scheduled' and queue_until is not null;
CREATE INDEX ix_attempts_limit_key ON attempts (limit_key, priority desc, available_at) WHERE limit_key is not null and finished_at is null;
CREATE INDEX ix_attempts_type_key ON attempts (type_key, priority desc, available_at) WHERE type_key is not null and finished_at is null;
CREATE INDEX ix_runs_root_run_id ON runs (root_run_id) WHERE root_run_id <> id;
CREATE TABLE changes (
    position INTEGER NOT NULL,
    run_id VARCHAR(36) NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    CONSTRAINT pk_changes PRIMARY KEY (position)
);
CREATE TRIGGER note_new_run after insert on runs when new.last_seq > 0 begin
  insert into changes (run_id, first_seq, last_seq) values (new.id, 1, new.last_seq);
end;
CREATE TRIGGER note_changed_run after update of last_seq on runs when new.last_seq > old.last_seq begin
  insert into changes (run_id, first_seq, last_seq) values (new.id, old.last_seq + 1, new.last_seq);
end;
CREATE INDEX ix_runs_status_id ON runs (status, id) WHERE status <> 'completed';
CREATE INDEX ix_runs_unadmitted ON runs (admission_key, rate_key, priority desc, id) WHERE admission_key is not null and admitted_at is null and finished_at is null;
CREATE TABLE archives (
    id VARCHAR(36) NOT NULL,
    object_key VARCHAR(512) NOT NULL,
    size BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    index_at BIGINT NOT NULL,
    families INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    first_run_id VARCHAR(36) NOT NULL,
    last_run_id VARCHAR(36) NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_archives PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_archives_first_run_id ON archives (first_run_id);
CREATE TABLE trigger_routes (
    kind VARCHAR(16) NOT NULL,
    "key" VARCHAR(512) NOT NULL,
    trigger_id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    CONSTRAINT pk_trigger_routes PRIMARY KEY (kind, "key", trigger_id),
    CONSTRAINT ck_trigger_routes_kind CHECK (kind in ('webhook', 'event'))
)
 WITHOUT ROWID;
CREATE UNIQUE INDEX uq_trigger_routes_webhook ON trigger_routes ("key") WHERE kind = 'webhook';
CREATE INDEX ix_trigger_routes_trigger_id ON trigger_routes (trigger_id);
CREATE TABLE backfills (
    id VARCHAR(36) NOT NULL,
    trigger_id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    schedule TEXT NOT NULL,
    range_from BIGINT NOT NULL,
    range_until BIGINT NOT NULL,
    at_once INTEGER NOT NULL,
    again BOOLEAN NOT NULL,
    stop_on_failure BOOLEAN NOT NULL,
    status VARCHAR(16) NOT NULL,
    reason TEXT,
    total INTEGER NOT NULL,
    decided_until BIGINT NOT NULL,
    under_way TEXT DEFAULT '[]' NOT NULL,
    fired_before INTEGER DEFAULT '0' NOT NULL,
    started INTEGER DEFAULT '0' NOT NULL,
    skipped INTEGER DEFAULT '0' NOT NULL,
    refused INTEGER DEFAULT '0' NOT NULL,
    completed INTEGER DEFAULT '0' NOT NULL,
    failed INTEGER DEFAULT '0' NOT NULL,
    revision INTEGER DEFAULT '1' NOT NULL,
    created_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT,
    CONSTRAINT pk_backfills PRIMARY KEY (id),
    CONSTRAINT ck_backfills_status CHECK (status in ('running', 'paused', 'completed', 'cancelled', 'failed'))
)
 WITHOUT ROWID;
CREATE INDEX ix_backfills_trigger_id_id ON backfills (trigger_id, id);
CREATE INDEX ix_backfills_open ON backfills (id) WHERE finished_at is null;
CREATE TABLE followers (
    name VARCHAR(64) NOT NULL,
    position TEXT NOT NULL,
    moved_at BIGINT NOT NULL,
    CONSTRAINT pk_followers PRIMARY KEY (name)
)
 WITHOUT ROWID;
CREATE TABLE mails (
    id VARCHAR(36) NOT NULL,
    "key" VARCHAR(512) NOT NULL,
    recipient VARCHAR(320) NOT NULL,
    content TEXT NOT NULL,
    due_at BIGINT,
    tries INTEGER DEFAULT '0' NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    CONSTRAINT pk_mails PRIMARY KEY (id),
    CONSTRAINT uq_mails_key UNIQUE ("key")
)
 WITHOUT ROWID;
CREATE INDEX ix_mails_due_at ON mails (due_at) WHERE due_at is not null;
CREATE INDEX ix_triggers_awaiting ON triggers (id) WHERE next_due_at is null and active and type || '' = 'interval';
CREATE INDEX ix_events_unrouted ON events (id) WHERE routed_at is null;
CREATE UNIQUE INDEX uq_events_source_external_id ON events (source, external_id) WHERE external_id is not null;
CREATE INDEX ix_runs_ended_badly ON runs (workflow_id, id, status) WHERE status in ('failed', 'cancelled');
CREATE INDEX ix_runs_parent_run_id_id ON runs (parent_run_id, id) WHERE parent_run_id is not null;
CREATE TABLE waits (
    run_id VARCHAR(36) NOT NULL,
    path VARCHAR(512) NOT NULL,
    kind VARCHAR(32),
    request TEXT,
    child_run_id VARCHAR(36),
    wanted BOOLEAN DEFAULT 0 NOT NULL,
    fire_at BIGINT,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_waits PRIMARY KEY (run_id, path)
)
 WITHOUT ROWID;
CREATE INDEX ix_waits_fire_at ON waits (fire_at) WHERE fire_at is not null;
CREATE INDEX ix_waits_wanted ON waits (run_id, path) WHERE wanted;
CREATE INDEX ix_waits_approvals ON waits (created_at, run_id, path) WHERE kind = 'approval';
CREATE TABLE wait_routes (
    run_id VARCHAR(36) NOT NULL,
    path VARCHAR(512) NOT NULL,
    route VARCHAR(255) NOT NULL,
    correlation VARCHAR(512) NOT NULL,
    CONSTRAINT pk_wait_routes PRIMARY KEY (run_id, path, route)
)
 WITHOUT ROWID;
CREATE INDEX ix_wait_routes_route ON wait_routes (route, correlation, run_id, path);
CREATE TABLE agents (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(100) NOT NULL,
    url TEXT NOT NULL,
    description TEXT,
    auth_type VARCHAR(16) NOT NULL,
    auth_config TEXT NOT NULL,
    sealed TEXT,
    key_id VARCHAR(64),
    timeout_ms INTEGER NOT NULL,
    retry_config TEXT NOT NULL,
    max_concurrent INTEGER,
    health_path TEXT NOT NULL,
    status VARCHAR(16) NOT NULL,
    version INTEGER NOT NULL,
    health VARCHAR(16) DEFAULT 'unknown' NOT NULL,
    health_message TEXT,
    health_latency_ms INTEGER,
    health_checked_at BIGINT,
    health_claimed_at BIGINT,
    circuit_failures INTEGER DEFAULT '0' NOT NULL,
    circuit_open_until BIGINT,
    circuit_trial_until BIGINT,
    created_by VARCHAR(36),
    updated_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT ck_agents_status CHECK (status in ('active', 'inactive', 'deleted')),
    CONSTRAINT ck_agents_auth_type CHECK (auth_type in ('none', 'bearer', 'apikey')),
    CONSTRAINT ck_agents_health CHECK (health in ('unknown', 'healthy', 'unhealthy')),
    CONSTRAINT ck_agents_forgotten CHECK (status <> 'deleted' or sealed is null)
)
 WITHOUT ROWID;
CREATE UNIQUE INDEX uq_agents_name ON agents (name) WHERE status <> 'deleted';
CREATE INDEX ix_agents_name_id ON agents (name, id);
CREATE TABLE agent_checks (
    id VARCHAR(36) NOT NULL,
    agent_id VARCHAR(36) NOT NULL,
    asked BOOLEAN NOT NULL,
    healthy BOOLEAN NOT NULL,
    http_status INTEGER,
    latency_ms INTEGER NOT NULL,
    message TEXT,
    at BIGINT NOT NULL,
    CONSTRAINT pk_agent_checks PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_agent_checks_agent_id_id ON agent_checks (agent_id, id);
CREATE TABLE canaries (
    id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    version INTEGER NOT NULL,
    stable INTEGER NOT NULL,
    share INTEGER NOT NULL,
    started_by VARCHAR(36),
    started_at BIGINT NOT NULL,
    outcome VARCHAR(16),
    ended_by VARCHAR(36),
    ended_at BIGINT,
    CONSTRAINT pk_canaries PRIMARY KEY (id),
    CONSTRAINT ck_canaries_share CHECK (share between 1 and 9999),
    CONSTRAINT ck_canaries_outcome CHECK (outcome in ('promoted', 'stopped', 'replaced')),
    CONSTRAINT ck_canaries_ended CHECK ((outcome is null) = (ended_at is null))
)
 WITHOUT ROWID;
CREATE INDEX ix_canaries_workflow_id_id ON canaries (workflow_id, id);
CREATE UNIQUE INDEX uq_canaries_live ON canaries (workflow_id) WHERE ended_at is null;
CREATE TABLE test_runs (
    run_id VARCHAR(36) NOT NULL,
    definition TEXT NOT NULL,
    terms TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_test_runs PRIMARY KEY (run_id)
)
 WITHOUT ROWID;
CREATE INDEX ix_api_keys_user_id_id ON api_keys (user_id, id);
CREATE TABLE sessions (
    id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    token_hash VARCHAR(64),
    scopes TEXT,
    address VARCHAR(64),
    user_agent VARCHAR(255),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_because VARCHAR(32),
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT ck_sessions_kind CHECK (kind in ('web', 'token')),
    CONSTRAINT ck_sessions_token CHECK ((kind = 'web') = (token_hash is not null)),
    CONSTRAINT ck_sessions_ended CHECK ((ended_at is null) = (ended_because is null)),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_sessions_token_hash UNIQUE (token_hash)
)
 WITHOUT ROWID;
CREATE INDEX ix_sessions_user_id_id ON sessions (user_id, id);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE TABLE refresh_tokens (
    token_hash VARCHAR(64) NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    CONSTRAINT pk_refresh_tokens PRIMARY KEY (token_hash)
)
 WITHOUT ROWID;
CREATE INDEX ix_refresh_tokens_expires_at ON refresh_tokens (expires_at);
CREATE TABLE login_failures (
    "key" VARCHAR(160) NOT NULL,
    count INTEGER NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    blocked_until BIGINT,
    CONSTRAINT pk_login_failures PRIMARY KEY ("key")
)
 WITHOUT ROWID;
CREATE INDEX ix_login_failures_last_at ON login_failures (last_at);
CREATE TABLE password_resets (
    token_hash VARCHAR(64) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    created_by VARCHAR(36),
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    CONSTRAINT pk_password_resets PRIMARY KEY (token_hash),
    CONSTRAINT fk_password_resets_user_id FOREIGN KEY(user_id) REFERENCES users (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_password_resets_user_id ON password_resets (user_id);
CREATE INDEX ix_password_resets_expires_at ON password_resets (expires_at);
CREATE TABLE grants (
    user_id VARCHAR(36) NOT NULL,
    workflow_id VARCHAR(36) NOT NULL,
    grant VARCHAR(16) NOT NULL,
    granted_by VARCHAR(36),
    granted_at BIGINT NOT NULL,
    CONSTRAINT pk_grants PRIMARY KEY (user_id, workflow_id, grant),
    CONSTRAINT ck_grants_grant CHECK ("grant" in ('view', 'run', 'edit', 'approve')),
    CONSTRAINT fk_grants_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_grants_workflow_id FOREIGN KEY(workflow_id) REFERENCES workflows (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_grants_workflow_id_user_id ON grants (workflow_id, user_id);
CREATE TABLE audit_log (
    id VARCHAR(36) NOT NULL,
    at BIGINT NOT NULL,
    actor_id VARCHAR(64),
    actor VARCHAR(255) NOT NULL,
    credential_id VARCHAR(36),
    action VARCHAR(64) NOT NULL,
    entity VARCHAR(32) NOT NULL,
    entity_id VARCHAR(512),
    entity_name VARCHAR(512),
    "before" TEXT,
    "after" TEXT,
    address VARCHAR(64),
    request_id VARCHAR(64),
    seq BIGINT,
    hash VARCHAR(64),
    key_id VARCHAR(64),
    by_salt VARCHAR(32),
    by_digest VARCHAR(64) NOT NULL,
    about_salt VARCHAR(32),
    about_digest VARCHAR(64) NOT NULL,
    erasure VARCHAR(64),
    erasure_key_id VARCHAR(64),
    CONSTRAINT pk_audit_log PRIMARY KEY (id),
    CONSTRAINT ck_audit_log_sealed CHECK ((seq is null) = (hash is null)),
    CONSTRAINT ck_audit_log_sealed_by CHECK ((seq is null) = (key_id is null)),
    CONSTRAINT ck_audit_log_by CHECK (by_salt is not null or (actor = 'erased' and address is null)),
    CONSTRAINT ck_audit_log_about CHECK (about_salt is not null or (entity_name is not null and entity_name = 'erased' and before is null and after is null)),
    CONSTRAINT ck_audit_log_erased CHECK ((by_salt is null or about_salt is null) = (erasure is not null)),
    CONSTRAINT ck_audit_log_erased_by CHECK ((erasure is null) = (erasure_key_id is null))
)
 WITHOUT ROWID;
CREATE UNIQUE INDEX ix_audit_log_seq ON audit_log (seq) WHERE seq is not null;
CREATE INDEX ix_audit_log_unsealed ON audit_log (id) WHERE seq is null;
CREATE INDEX ix_audit_log_entity_entity_id_id ON audit_log (entity, entity_id, id);
CREATE INDEX ix_audit_log_actor_id_id ON audit_log (actor_id, id);
CREATE INDEX ix_audit_log_action_id ON audit_log (action, id);
CREATE TABLE audit_anchor (
    id INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    hash VARCHAR(64) NOT NULL,
    at BIGINT NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    signature VARCHAR(64) NOT NULL,
    CONSTRAINT pk_audit_anchor PRIMARY KEY (id),
    CONSTRAINT ck_audit_anchor_one CHECK (id = 1)
)
 WITHOUT ROWID;
CREATE TRIGGER audit_log_added before insert on audit_log
when new.seq is not null or new.erasure is not null or exists (select 1 from audit_log where id = new.id)
begin select raise(abort, 'the audit log is append-only: a row is new, and sealed later'); end;
CREATE TRIGGER audit_log_changed before update on audit_log
when not ((old.seq is null and new.seq is not null and (new."id" is old."id" and new."at" is old."at" and new."actor_id" is old."actor_id" and new."credential_id" is old."credential_id" and new."action" is old."action" and new."entity" is old."entity" and new."entity_id" is old."entity_id" and new."request_id" is old."request_id" and new."by_digest" is old."by_digest" and new."about_digest" is old."about_digest" and new."actor" is old."actor" and new."address" is old."address" and new."by_salt" is old."by_salt" and new."entity_name" is old."entity_name" and new."before" is old."before" and new."after" is old."after" and new."about_salt" is old."about_salt" and new."erasure" is old."erasure" and new."erasure_key_id" is old."erasure_key_id")
    and new.seq > (select coalesce(max(seq), 0) from audit_log where seq is not null))
  or (old.seq is not null and (new."id" is old."id" and new."at" is old."at" and new."actor_id" is old."actor_id" and new."credential_id" is old."credential_id" and new."action" is old."action" and new."entity" is old."entity" and new."entity_id" is old."entity_id" and new."request_id" is old."request_id" and new."by_digest" is old."by_digest" and new."about_digest" is old."about_digest" and new."seq" is old."seq" and new."hash" is old."hash" and new."key_id" is old."key_id")
    and ((new."actor" is old."actor" and new."address" is old."address" and new."by_salt" is old."by_salt") or old.by_salt is not null and new.by_salt is null)
    and ((new."entity_name" is old."entity_name" and new."before" is old."before" and new."after" is old."after" and new."about_salt" is old."about_salt") or old.about_salt is not null and new.about_salt is null)
    and not ((new."actor" is old."actor" and new."address" is old."address" and new."by_salt" is old."by_salt") and (new."entity_name" is old."entity_name" and new."before" is old."before" and new."after" is old."after" and new."about_salt" is old."about_salt"))))
begin select raise(abort, 'the audit log is append-only: rows do not change'); end;
CREATE TRIGGER audit_log_deleted before delete on audit_log
when old.seq is null or old.seq > (select coalesce(max(seq), 0) from audit_anchor)
begin select raise(abort, 'the audit log is append-only: rows are deleted up to its anchor'); end;
CREATE TRIGGER audit_anchor_moved before update on audit_anchor
when new.seq <= old.seq
begin select raise(abort, 'the anchor of the audit log moves forward only'); end;
CREATE TRIGGER audit_anchor_kept before delete on audit_anchor
begin select raise(abort, 'the anchor of the audit log stays'); end;
CREATE TRIGGER audit_anchor_added before insert on audit_anchor
when exists (select 1 from audit_anchor)
begin select raise(abort, 'the audit log has one anchor'); end;
CREATE TABLE secret_versions (
    name VARCHAR(255) NOT NULL,
    version INTEGER NOT NULL,
    sealed TEXT NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    created_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_secret_versions PRIMARY KEY (name, version)
)
 WITHOUT ROWID;
CREATE TABLE connection_versions (
    name VARCHAR(255) NOT NULL,
    version INTEGER NOT NULL,
    type VARCHAR(32) NOT NULL,
    config TEXT NOT NULL,
    sealed TEXT,
    key_id VARCHAR(64),
    created_by VARCHAR(36),
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_connection_versions PRIMARY KEY (name, version)
)
 WITHOUT ROWID;
CREATE TABLE oidc_identities (
    issuer VARCHAR(255) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    email VARCHAR(320),
    created_at BIGINT NOT NULL,
    last_login_at BIGINT NOT NULL,
    CONSTRAINT pk_oidc_identities PRIMARY KEY (issuer, subject),
    CONSTRAINT fk_oidc_identities_user_id FOREIGN KEY(user_id) REFERENCES users (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_oidc_identities_user_id_issuer ON oidc_identities (user_id, issuer);
CREATE TABLE oidc_logins (
    state_hash VARCHAR(64) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    code_hash VARCHAR(64),
    challenge VARCHAR(64),
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    CONSTRAINT pk_oidc_logins PRIMARY KEY (state_hash),
    CONSTRAINT ck_oidc_logins_code CHECK ((code_hash is null) = (challenge is null)),
    CONSTRAINT fk_oidc_logins_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_oidc_logins_code_hash UNIQUE (code_hash)
)
 WITHOUT ROWID;
CREATE INDEX ix_oidc_logins_user_id ON oidc_logins (user_id);
CREATE INDEX ix_oidc_logins_expires_at ON oidc_logins (expires_at);
CREATE TABLE rate_counts (
    subject VARCHAR(128) NOT NULL,
    empty_at BIGINT NOT NULL,
    CONSTRAINT pk_rate_counts PRIMARY KEY (subject)
)
 WITHOUT ROWID;
CREATE INDEX ix_rate_counts_empty_at ON rate_counts (empty_at);
insert into alembic_version values ('0019');
