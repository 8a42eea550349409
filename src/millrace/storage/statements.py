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
    "correlation_id", "priority", "admission_key", "admission_limit", "root_run_id", "parent_run_id", "retry_of",
    "causation_depth", "cancelled_by", "cancelled_at", "created_at", "started_at", "finished_at",
)  # fmt: skip

NEW_TASK = (
    "run_id", "path", "type", "status", "attempt", "live", "failures", "crashes", "skip_reason", "error", "worker",
    "revision", "ready_at", "available_at", "started_at", "finished_at",
)  # fmt: skip

NEW_ATTEMPT = (
    "run_id", "path", "number", "token", "status", "queue", "priority", "incarnation_id", "timeout_us", "expires_at",
    "available_at", "deadline_at", "started_at",
)  # fmt: skip

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

# --- rows of a change -------------------------------------------------------------------------------------------------

INSERT_TASK = insert(tables.task_runs, NEW_TASK)

UPDATE_TASK = """
update task_runs set status = ?, attempt = ?, live = ?, failures = ?, crashes = ?, skip_reason = ?, error = ?,
  worker = coalesce(?, worker), revision = ?, ready_at = ?, available_at = ?, started_at = coalesce(started_at, ?),
  finished_at = ?, input = coalesce(?, input), output = coalesce(?, output)
where run_id = ? and path = ?"""

INSERT_ATTEMPT = insert(tables.attempts, NEW_ATTEMPT)

END_ATTEMPT = f"""
update attempts set status = ?, error = ?, finished_at = ?
where run_id = ? and path = ? and number = ? and token = coalesce(?, token)
  and {one_of("status", LIVE_ATTEMPT)}"""

INSERT_RECORD = insert(tables.records, NEW_RECORD)
INSERT_LOG = insert(tables.logs, NEW_LOG)
INSERT_INBOX = insert(tables.inbox, NEW_INBOX)
DELETE_INBOX = "delete from inbox where id = ?"

SET_TIMER = """
insert into timers (run_id, kind, fire_at) values (?, ?, ?)
on conflict (run_id, kind) do update set fire_at = excluded.fire_at"""

DELETE_TIMER = "delete from timers where run_id = ? and kind = ?"
CLEAR_TIMERS = "delete from timers where run_id = ?"

WITHDRAW = f"""
update attempts set status = '{AttemptStatus.CANCELLED.value}', finished_at = ?
where run_id = ? and path = ? and number = ? and status = '{SCHEDULED}' returning token"""

# --- claims -----------------------------------------------------------------------------------------------------------

IS_LIVE = "select 1 from incarnations where id = ? and lost_at is null and retired_at is null"

QUEUED = f"""
select run_id, path, number, token, timeout_us, expires_at, priority, available_at from attempts
where status = '{SCHEDULED}' and queue = ? and available_at <= ?
order by priority desc, available_at, run_id, path limit ?"""

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

WAITING_KEYS = """
select distinct admission_key from runs
where admission_key is not null and admitted_at is null and finished_at is null and status = 'pending'"""

OCCUPIED = """
select count(*) from runs where admission_key = ? and admission_key is not null and admitted_at is not null
  and finished_at is null"""

WAITING_RUNS = """
select id, admission_limit from runs
where admission_key = ? and admission_key is not null and admitted_at is null and finished_at is null
  and status = 'pending' order by priority desc, id limit ?"""

ADMIT = "update runs set admitted_at = now_us() where id = ?"

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
where lease_until < now_us() and lost_at is null and retired_at is null returning id"""

INSTALLATION = "select id from installation"
INSTALL = "insert into installation (id, created_at) values (?, now_us())"
