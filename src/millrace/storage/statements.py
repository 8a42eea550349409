"""The statements of the engine's hot path, as the driver takes them. Reads and plain CRUD use SQLAlchemy instead.

Each is run with tuples that `storage.mapping` makes, in the order of the columns named here. A statement that decides
something (a gate, a claim, a withdrawal) says so with RETURNING, and is run row by row.
"""

from collections.abc import Sequence

from sqlalchemy import Table

from millrace.core.states import LIVE_ATTEMPT, AttemptStatus
from millrace.storage import tables
from millrace.storage.tables import one_of

SCHEDULED, RUNNING = AttemptStatus.SCHEDULED.value, AttemptStatus.RUNNING.value

NEW_RUN = (
    "id", "workflow_id", "version_id", "status", "phase", "outcome", "wind_up", "cancels", "revision", "last_seq",
    "last_log", "trigger_type", "trigger_id", "triggered_by", "trigger_data", "input", "variables", "output", "error",
    "correlation_id", "priority", "admission_key", "admission_limit", "when_full", "rate_key", "rate_limit",
    "rate_period_us", "run_at", "root_run_id", "parent_run_id", "parent_path", "retry_of", "causation_depth",
    "cancelled_by", "cancelled_at", "created_at", "started_at", "finished_at", "ahead",
)  # fmt: skip

NEW_TASK = (
    "run_id", "path", "type", "status", "attempt", "live", "failures", "crashes", "skip_reason", "error", "worker",
    "adopted_from", "revision", "ready_at", "available_at", "started_at", "finished_at",
)  # fmt: skip

TASK_READ = (
    "path", "status", "attempt", "live", "failures", "crashes", "ready_at", "available_at", "skip_reason", "error",
    "finished_at", "block", "size", "awaits", "child_run_id",
)  # fmt: skip
"""What the engine knows of a task run. Its input and output may be a thousand times larger than all the rest."""

NEW_ATTEMPT = (
    "run_id", "path", "number", "token", "status", "queue", "priority", "incarnation_id", "limit_key", "limit_size",
    "type_key", "timeout_us", "queue_until", "expires_at", "available_at", "deadline_at", "started_at",
)  # fmt: skip

CONTROL = (
    "block", "size", "awaits", "child_run_id", "input", "output", "started_at", "run_id", "path",
)  # fmt: skip
NEW_WAIT = ("run_id", "path", "kind", "request", "child_run_id", "wanted", "fire_at", "created_at")
NEW_ROUTE = ("run_id", "path", "route", "correlation")
NEW_RECORD = ("run_id", "seq", "type", "path", "data", "at")
NEW_LOG = ("run_id", "seq", "path", "attempt", "level", "text", "metadata", "at")
NEW_INBOX = ("id", "run_id", "kind", "data", "created_at")


def insert(table: Table, columns: Sequence[str]) -> str:
    unknown = set(columns) - set(table.columns.keys())
    assert not unknown, f"{table.name} has no columns {sorted(unknown)}"  # noqa: S101 - checked when imported
    return f"insert into {table.name} ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"


# --- runs: the gates --------------------------------------------------------------------------------------------------

INSERT_RUN = insert(tables.runs, NEW_RUN) + " on conflict (id) do nothing"

RUN_EXISTS = "select 1 from runs where id = ?"

KEPT_PAYLOADS = "select payloads_deleted_at is null from runs where id = ?"

UPDATE_RUN = """
update runs set status = ?, phase = ?, outcome = ?, wind_up = ?, cancels = ?, error = ?, started_at = ?,
  finished_at = ?, output = coalesce(?, output), cancelled_by = coalesce(cancelled_by, ?),
  cancelled_at = coalesce(cancelled_at, ?), last_seq = last_seq + ?, last_log = last_log + ?, revision = revision + 1
where id = ? and revision = ? returning last_seq, last_log"""

# The indexes of `runs` hang on status and `finished_at`; a statement that leaves those alone touches none of them.
ADVANCE_RUN = """
update runs set last_seq = last_seq + ?, last_log = last_log + ?, revision = revision + 1
where id = ? and revision = ? returning last_seq, last_log"""

TAKE_START_KEY = """
insert into start_keys (namespace, scope, key, request_hash, run_id, expires_at) values (?, ?, ?, ?, ?, ?)
on conflict (namespace, scope, key) do update
  set request_hash = excluded.request_hash, run_id = excluded.run_id, expires_at = excluded.expires_at
  where expires_at <= now_us()
returning run_id"""

START_KEY = "select run_id, request_hash from start_keys where namespace = ? and scope = ? and key = ?"

TAKEN_KEY = START_KEY + " and expires_at > now_us()"

# --- triggers ---------------------------------------------------------------------------------------------------------

WORKFLOW_AS_KNOWN = "select 1 from workflows where id = ? and updated_at = ? and deleted_at is null"

TRIGGER_HOLDS = "select 1 from triggers where id = ? and revision = ? and enabled"

FIRED = """
update triggers set last_fired_at = now_us(), last_run_id = ?, last_error = null, fired_count = fired_count + 1,
  started_count = started_count + 1, next_due_at = ?, decided_until = max(coalesce(decided_until, 0), ?)
where id = ?"""

INSERT_FIRING = """
insert into firings (id, trigger_id, workflow_id, start_key, due_at, decision, run_id, at)
values (?, ?, ?, ?, ?, 'started', ?, now_us())"""

# --- rows of a change -------------------------------------------------------------------------------------------------

INSERT_TASK = insert(tables.task_runs, NEW_TASK)

UPDATE_TASK = """
update task_runs set status = ?, attempt = ?, live = ?, failures = ?, crashes = ?, skip_reason = ?, error = ?,
  worker = coalesce(?, worker), revision = ?, ready_at = ?, available_at = ?, started_at = coalesce(started_at, ?),
  finished_at = ?, input = coalesce(?, input), output = coalesce(?, output)
where run_id = ? and path = ?"""

# What only control tasks have: plain ones, which are nearly all, are written without it.
UPDATE_CONTROL = """
update task_runs set block = coalesce(?, block), size = coalesce(?, size), awaits = ?,
  child_run_id = coalesce(?, child_run_id), input = coalesce(?, input), output = coalesce(?, output),
  started_at = coalesce(started_at, ?)
where run_id = ? and path = ?"""

SET_SIGNALS = "update runs set signals = ? where id = ?"

INSERT_ATTEMPT = insert(tables.attempts, NEW_ATTEMPT)

END_ATTEMPT = f"""
update attempts set status = ?, error = ?, finished_at = ?
where run_id = ? and path = ? and number = ? and token = coalesce(?, token)
  and {one_of("status", LIVE_ATTEMPT)}"""

INSERT_RECORD = insert(tables.records, NEW_RECORD)
INSERT_LOG = insert(tables.logs, NEW_LOG)
INSERT_INBOX = insert(tables.inbox, NEW_INBOX)
IN_INBOX = "select 1 from inbox where id = ?"
DELETE_INBOX = "delete from inbox where id = ?"

SET_TIMER = """
insert into timers (run_id, kind, fire_at) values (?, ?, ?)
on conflict (run_id, kind) do update set fire_at = excluded.fire_at"""

DELETE_TIMER = "delete from timers where run_id = ? and kind = ?"
CLEAR_TIMERS = "delete from timers where run_id = ?"

INSERT_WAIT = insert(tables.waits, NEW_WAIT)
INSERT_ROUTE = insert(tables.wait_routes, NEW_ROUTE)
DELETE_WAIT = "delete from waits where run_id = ? and path = ?"
DELETE_ROUTES = "delete from wait_routes where run_id = ? and path = ?"
CLEAR_WAITS = "delete from waits where run_id = ?"
CLEAR_ROUTES = "delete from wait_routes where run_id = ?"

# A fact for another run. That run may yet have to be started, but it must not be over, nor have been refused.
TELL = """
insert into inbox (id, run_id, kind, data, created_at)
select ?1, ?2, ?3, ?4, ?5 where exists (select 1 from runs where id = ?2 and finished_at is null)
  or exists (select 1 from waits where wanted and child_run_id = ?2)
on conflict (id) do nothing"""

WITHDRAW = f"""
update attempts set status = '{AttemptStatus.CANCELLED.value}', finished_at = ?
where run_id = ? and path = ? and number = ? and status = '{SCHEDULED}' returning token"""

# --- claims -----------------------------------------------------------------------------------------------------------

IS_LIVE = "select 1 from incarnations where id = ? and lost_at is null and retired_at is null"

WAITING_ATTEMPT = "run_id, path, number, token, timeout_us, expires_at, priority, available_at"

QUEUED = f"""
select {WAITING_ATTEMPT} from attempts
where status = '{SCHEDULED}' and queue = ? and available_at <= ? and limit_key is null and type_key is null
order by priority desc, available_at, run_id, path limit ?"""

QUEUES = f"""
with recursive found (queue) as (
  select min(queue) from attempts where status = '{SCHEDULED}'
  union all
  select (select min(queue) from attempts where status = '{SCHEDULED}' and queue > found.queue) from found
  where found.queue is not null)
select queue from found where queue is not null"""


def limited_keys(column: str) -> str:
    """The keys that live attempts have in `column`, each found by one step into its index."""
    live = f"{column} is not null and finished_at is null"
    return f"""
with recursive found (key) as (
  select min({column}) from attempts where {live}
  union all
  select (select min({column}) from attempts where {live} and {column} > found.key) from found
  where found.key is not null)
select key from found where key is not null"""


def limited_waiting(column: str, queues: int) -> str:
    """Of so many queues: attempts of another one must not stand in the way of those that can be claimed."""
    return f"""
select {WAITING_ATTEMPT}, limit_key, limit_size, type_key from attempts
where {column} = ? and {column} is not null and finished_at is null and status = '{SCHEDULED}' and available_at <= ?
  and queue in ({", ".join("?" * queues)})
order by priority desc, available_at limit ?"""


def limited_running(column: str) -> str:
    return f"""
select count(*) from attempts
where {column} = ? and {column} is not null and finished_at is null and status = '{RUNNING}'"""


LIMITED_KEYS = {column: limited_keys(column) for column in ("limit_key", "type_key")}
LIMITED_RUNNING = {column: limited_running(column) for column in ("limit_key", "type_key")}

OVER_QUEUE_TIME = f"""
select run_id, path, number from attempts
where status = '{SCHEDULED}' and queue_until is not null and queue_until <= now_us() order by queue_until limit ?"""

CLAIM = f"""
update attempts set status = '{RUNNING}', incarnation_id = ?, started_at = ?, deadline_at = ?
where run_id = ? and path = ? and number = ? and status = '{SCHEDULED}'"""

CLAIM_TASK = """
update task_runs set status = 'running', worker = ?, started_at = coalesce(started_at, ?)
where run_id = ? and path = ? and status = 'ready'"""

NEXT_SEQ = "update runs set last_seq = last_seq + 1 where id = ? returning last_seq"
NEXT_LOGS = "update runs set last_log = last_log + ? where id = ? returning last_log"

# --- inbox and admission ----------------------------------------------------------------------------------------------

# The update changes nothing: it makes a fact that is posted again count like the first time.
POST = """
insert into inbox (id, run_id, kind, data, created_at)
select ?1, ?2, ?3, ?4, now_us() where exists (select 1 from runs where id = ?2 and finished_at is null)
on conflict (id) do update set kind = excluded.kind"""

UNADMITTED = "admission_key is not null and admitted_at is null and finished_at is null"

WAITING = f"{UNADMITTED} and status = 'pending' and (run_at is null or run_at <= now_us())"

# Each distinct key is one step down the index, however many runs wait for it.
WAITING_KEYS = f"""
with recursive keys (k) as (
  select min(admission_key) from runs where {UNADMITTED}
  union all
  select (select min(admission_key) from runs where {UNADMITTED} and admission_key > k) from keys where k is not null)
select k from keys where k is not null"""

OCCUPIED = """
select count(*) from runs where admission_key = ? and admission_key is not null and admitted_at is not null
  and finished_at is null"""

QUEUED_RUNS = f"select count(*) from runs where admission_key = ? and {WAITING} and rate_key is null"

WAITING_COLUMNS = "id, priority, admission_limit, when_full, rate_key, rate_limit, rate_period_us"

WAITING_RUNS = f"""
select {WAITING_COLUMNS} from runs
where admission_key = ? and {WAITING} and rate_key is null order by priority desc, id limit ?"""

NEXT_OF_RATE = f"""
select {WAITING_COLUMNS} from runs
where admission_key = ? and {WAITING} and rate_key = ? order by priority desc, id limit 1"""

# The first of each rate key, where the rate has room. Keys are found as above.
FREE_OF_RATES = f"""
with recursive keys (k) as (
  select min(rate_key) from runs where admission_key = ?1 and {UNADMITTED}
  union all
  select (select min(rate_key) from runs where admission_key = ?1 and {UNADMITTED} and rate_key > k)
  from keys where k is not null)
select {WAITING_COLUMNS} from keys join runs on id = (
  select id from runs where admission_key = ?1 and {WAITING} and rate_key = k order by priority desc, id limit 1)
where coalesce((select max(next_free_at - now_us(), 0) from limits where key = k), 0)
  + rate_period_us / rate_limit <= rate_period_us"""

LIVE_RUNS = f"""
select id, status from runs where admission_key = ? and admission_key is not null and admitted_at is not null
  and finished_at is null
union all
select id, status from runs where admission_key = ? and {WAITING}
order by 1"""

ADMITTED_RUNS = """
select id, status from runs where admission_key = ? and admission_key is not null and admitted_at is not null
  and finished_at is null order by id desc"""

ADMIT = "update runs set admitted_at = now_us() where id = ?"

NEXT_FREE = "select next_free_at, now_us() from (select 1) left join limits on key = ?"

TAKE_RATE = """
insert into limits (key, next_free_at) values (?, ?)
on conflict (key) do update set next_free_at = excluded.next_free_at"""

# --- incarnations -----------------------------------------------------------------------------------------------------

LOSE_ALL_BUT = """
update incarnations set lost_at = now_us() where id <> ? and lost_at is null and retired_at is null"""

REGISTER = """
insert into incarnations (id, host, pid, queues, slots, started_at, heartbeat_at, lease_until)
values (?, ?, ?, ?, ?, now_us(), now_us(), now_us() + ?)"""

BEAT = """
update incarnations set heartbeat_at = now_us(), lease_until = now_us() + ?
where id = ? and lost_at is null and retired_at is null"""

HELD = f"""
select a.run_id, a.path, a.number, t.status = 'cancelling' from attempts a
join task_runs t on t.run_id = a.run_id and t.path = a.path
where a.incarnation_id = ? and a.status = '{RUNNING}'"""

RETIRE = "update incarnations set retired_at = now_us() where id = ? and lost_at is null and retired_at is null"

REAP = """
update incarnations set lost_at = now_us()
where lost_at is null and retired_at is null and (lease_until < min(now_us(), coalesce(?1, now_us()))
  or heartbeat_at - max(now_us(), coalesce(?1, now_us())) > lease_until - heartbeat_at) returning id"""
"""Also lost is whose last sign of life lies more than a lease ahead: the clock was set back, and since then it was
silent."""

INSTALLATION = "select id from installation"
INSTALL = "insert into installation (id, created_at) values (?, now_us())"
