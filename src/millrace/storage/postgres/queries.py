"""What the store says to PostgreSQL beside the commit, as the driver takes it."""

from millrace.core.states import AttemptStatus, RunStatus, TaskStatus
from millrace.storage.statements import NEW_LOG, TASK_READ

SCHEDULED, RUNNING = AttemptStatus.SCHEDULED.value, AttemptStatus.RUNNING.value

CLAIM = "select claim_attempts($1, $2, $3, $4)"

# --- runs -------------------------------------------------------------------------------------------------------------

# No revision is 0.
LOAD = f"""
select r.*, w.name as workflow_name, v.number,
  (select json_agg(json_build_array({", ".join(f"t.{name}" for name in TASK_READ)}))
   from task_runs t where t.run_id = r.id and t.revision > $2) as tasks,
  (select json_agg(json_build_array(a.path, a.number, a.token))
   from attempts a join task_runs t on t.run_id = a.run_id and t.path = a.path
   where a.run_id = r.id and a.finished_at is null and t.revision > $2) as tokens
from runs r join workflows w on w.id = r.workflow_id join workflow_versions v on v.id = r.version_id
where r.id = $1"""

OUTPUTS = f"""
select t.path, coalesce(adopted.output, t.output)
from task_runs t left join task_runs adopted on adopted.run_id = t.adopted_from and adopted.path = t.path
where t.run_id = $1 and (t.status = '{TaskStatus.COMPLETED.value}' or t.output is not null) and t.revision > $2"""

TASK = """
select t.input, coalesce(adopted.output, t.output)
from task_runs t left join task_runs adopted on adopted.run_id = t.adopted_from and adopted.path = t.path
where t.run_id = $1 and t.path = $2"""

INPUTS = "select path, input from task_runs where run_id = $1 and size is not null"

GOES_ON = "select 1 from runs where id = $1 and finished_at is null"

RUN_OUTPUT = "select output from runs where id = $1"

# --- inbox, timers ----------------------------------------------------------------------------------------------------

# The update changes nothing: it makes a fact that is posted again count like the first time.
POST = """
insert into inbox (id, run_id, kind, data, created_at)
select x.id, x.run_id, x.kind, x.data, now_us() from json_populate_recordset(null::inbox, $1) x
where exists (select from runs r where r.id = x.run_id and r.finished_at is null)
on conflict (id) do update set kind = excluded.kind returning id"""

INBOX = "select id, run_id, kind, data from inbox order by created_at, id limit $1"

DUE_TIMERS = """
(select run_id, kind, null as path from timers where fire_at <= now_us() order by fire_at limit $1)
union all
(select run_id, 'task', path from waits where fire_at is not null and fire_at <= now_us() order by fire_at limit $1)"""

NEXT_WAKE = f"""
select least(
  (select min(fire_at) from timers where fire_at > now_us()),
  (select min(fire_at) from waits where fire_at is not null and fire_at > now_us()),
  (select min(available_at) from attempts where status = '{SCHEDULED}' and available_at > now_us()),
  (select min(queue_until) from attempts
   where status = '{SCHEDULED}' and queue_until is not null and queue_until > now_us())) - now_us()"""

EXPIRE = f"""
select take_back((
  select json_agg(json_build_object('run_id', a.run_id, 'path', a.path, 'number', a.number, 'at', now_us()))
  from (select * from attempts
        where status = '{SCHEDULED}' and queue_until is not null and queue_until <= now_us()
        order by queue_until limit $1) a), 'attempt_expired')"""

# --- incarnations -----------------------------------------------------------------------------------------------------

LIVE = "lost_at is null and retired_at is null"

LOSE_ALL_BUT = f"update incarnations set lost_at = now_us() where id <> $1 and {LIVE}"

REGISTER = """
insert into incarnations (id, host, pid, queues, slots, started_at, heartbeat_at, lease_until)
values ($1, $2, $3, $4, $5, now_us(), now_us(), now_us() + $6)"""

BEAT = (
    f"update incarnations set heartbeat_at = now_us(), lease_until = now_us() + $2 where id = $1 and {LIVE} returning 1"
)

HELD = f"""
select a.run_id, a.path, a.number, t.status = 'cancelling' from attempts a
join task_runs t on t.run_id = a.run_id and t.path = a.path
where a.incarnation_id = $1 and a.status = '{RUNNING}'"""

RETIRE = f"update incarnations set retired_at = now_us() where id = $1 and {LIVE}"

REAP = f"""
update incarnations set lost_at = now_us()
where {LIVE} and (lease_until < least(now_us(), $1)
  or heartbeat_at - greatest(now_us(), $1) > lease_until - heartbeat_at) returning id"""
"""Also lost is whose last sign of life lies more than a lease ahead: the clock was set back, and since then it was
silent."""

LIVE_INCARNATIONS = f"select id from incarnations where {LIVE}"

LOST_ATTEMPTS = f"""
select a.run_id, a.path, a.number from attempts a left join incarnations i on i.id = a.incarnation_id
where a.status = '{RUNNING}' and (i.id is null or i.lost_at is not null or i.retired_at is not null)
order by a.run_id, a.path limit $1"""

OVERDUE_ATTEMPTS = f"""
select a.run_id, a.path, a.number from attempts a join incarnations i on i.id = a.incarnation_id
where a.status = '{RUNNING}' and i.lost_at is null and i.retired_at is null and a.deadline_at + $1 < now_us()
order by a.run_id, a.path limit $2"""

INSTALLATION = """
with made as (
  insert into installation (id, created_at) select $1, now_us() where not exists (select from installation)
  returning id)
select id from made union all select id from installation limit 1"""

# --- logs -------------------------------------------------------------------------------------------------------------

LOG = NEW_LOG

# A row of `given` is numbered within its run; the database alone knows the number that the run's log has come to.
APPEND_LOGS = """
with held as (select id from runs where id = any($1) order by id for update),
given as (select * from json_populate_recordset(null::logs, $2)),
run as (
  update runs r set last_log = r.last_log + n.count
  from (select run_id, count(*) from given group by run_id) n
  where r.id = n.run_id and r.id in (select id from held)
  returning r.id, r.last_log - n.count as before)
insert into logs (run_id, seq, path, attempt, level, text, metadata, at)
select g.run_id, run.before + g.seq, g.path, g.attempt, g.level, g.text, g.metadata, g.at
from given g join run on run.id = g.run_id"""

# --- admission --------------------------------------------------------------------------------------------------------

UNADMITTED = "admission_key is not null and admitted_at is null and finished_at is null"

MAY_START = f"{UNADMITTED} and status = 'pending' and (run_at is null or run_at <= now_us())"

# Each distinct key is one step down the index, however many runs wait for it.
WAITING_KEYS = f"""
with recursive keys (k) as (
  select min(admission_key) from runs where {UNADMITTED}
  union all
  select (select min(admission_key) from runs where {UNADMITTED} and admission_key > k) from keys where k is not null)
select k from keys where k is not null"""

WAITING_COLUMNS = "id, priority, admission_limit, when_full, rate_key, rate_limit, rate_period_us"

WAITING_RUNS = f"""
select {WAITING_COLUMNS} from runs where admission_key = $1 and {MAY_START} and rate_key is null
order by priority desc, id limit $2 for update skip locked"""

NEXT_OF_RATE = f"""
select {WAITING_COLUMNS} from runs
where admission_key = $1 and {MAY_START} and rate_key = $2 and id <> all($3)
order by priority desc, id limit 1 for update skip locked"""

# The first of each rate key, where the rate has room. Keys are found as above.
FREE_OF_RATES = f"""
with recursive keys (k) as (
  select min(rate_key) from runs where admission_key = $1 and {UNADMITTED}
  union all
  select (select min(rate_key) from runs where admission_key = $1 and {UNADMITTED} and rate_key > k)
  from keys where k is not null)
select head.* from keys cross join lateral (
  select {WAITING_COLUMNS} from runs where admission_key = $1 and {MAY_START} and rate_key = k
  order by priority desc, id limit 1 for update skip locked) head
where k is not null
  and coalesce((select greatest(next_free_at - now_us(), 0) from limits where key = k), 0)
    + rate_period_us / rate_limit <= rate_period_us
order by priority desc, id limit $2"""

NEXT_FREE = "select key, next_free_at from limits where key = any($1)"

LIVE_RUNS = f"""
select id, status from runs
where admission_key = $1 and admission_key is not null and finished_at is null
  and (admitted_at is not null or ({MAY_START}))
order by id"""

ADMITTED_RUNS = """
select id, status from runs where admission_key = $1 and admission_key is not null and admitted_at is not null
  and finished_at is null order by id desc"""

# A cancel of theirs that was folded meanwhile is seen, and none can be while they are held.
REPLACEABLE = f"""
select id from runs where id = any($1) and finished_at is null and status <> '{RunStatus.CANCELLING.value}'
order by id for update skip locked"""

ADMIT = "update runs set admitted_at = now_us() where id = any($1)"

TAKE_RATES = """
insert into limits (key, next_free_at) select * from unnest($1::text[], $2::bigint[])
on conflict (key) do update set next_free_at = excluded.next_free_at"""
