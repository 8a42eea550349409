"""What the doctor asks of runs: movers, histories without gaps, one live attempt, final states, limits, references.

The rules are those of the core and the store, asked of what is stored rather than of the code. Most tables are read
once for a check, from one end to the other, and other rows are looked up by key along that way; what concerns live rows
only is found by their partial indexes, except by `run_without_mover`: a run that its index does not hold is one that
nobody finds. That a row is live exactly when it has no `finished_at` is a CHECK, which is verified with the file.
"""

from dataclasses import dataclass

from millrace.core.states import FINISHED_RUN, LIVE_ATTEMPT, RunStatus
from millrace.core.values import SECOND
from millrace.storage.tables import one_of

PATIENCE = 60 * SECOND
"""How long what the engine clears up by itself may wait before it counts as left behind."""

LIVE = one_of("a.status", LIVE_ATTEMPT)
LIVE_IN_TABLE = one_of("r.status", set(RunStatus) - FINISHED_RUN)
"""Without the condition of `ix_runs_status_id`, so that the table is read."""
LIVE_RUN = f"r.status <> 'completed' and {LIVE_IN_TABLE}"
"""With it."""
ENDS = one_of("e.type", {f"run.{status}" for status in FINISHED_RUN})
"""Of all records those that may say how a run ended."""


@dataclass(frozen=True, slots=True)
class Check:
    code: str
    query: str
    """Selects `run_id` (null if it is about none) and `detail` of each problem."""
    message: str
    """With `{detail}` for what the query found."""
    remedy: str
    postgres: str | None = None
    """The query there, where both databases do not understand the same, or look for it in ways of their own.

    PostgreSQL is quickest when it reads whole tables and joins them, in several processes at once."""

    def query_on(self, dialect: str) -> str:
        return self.postgres if self.postgres is not None and dialect == "postgresql" else self.query


CANCEL_IT = "Cancel the run and start it again; please report how it came to this."
REPORT_IT = "Nothing is lost by it now, but it must not happen: please report it with the run's history."

PARTS = ("tasks", "on_failure", "finally")
_TASK_ROWS_MISSING = f"""select r.id as run_id, (select count(*) from task_runs t where t.run_id = r.id) as detail
  from runs r join workflow_versions v on v.id = r.version_id
  where {LIVE_RUN} and (select count(*) from task_runs t where t.run_id = r.id)
    < {{}} + coalesce({{}}, 0) + coalesce({{}}, 0)"""

_LATER_OR_LIVE = """union all
        select a.run_id, a.path from attempts a
        left join task_runs t on t.run_id = a.run_id and t.path = a.path
        where a.number > 1 and (t.run_id is null or a.number > t.attempt)
        union all
        select a.run_id, a.path from attempts a
        join task_runs t on t.run_id = a.run_id and t.path = a.path
        where a.finished_at is null and not t.live"""

RUN_CHECKS = (
    Check(
        "run_without_mover",
        f"""select r.id as run_id, r.status as detail from runs r
        where {LIVE_IN_TABLE} and r.status <> 'paused'
          and not (r.status = 'pending' and r.admission_key is not null and r.admitted_at is null)
          and not exists (select 1 from attempts a where a.run_id = r.id and {LIVE})
          and not exists (select 1 from timers t where t.run_id = r.id)
          and not exists (select 1 from inbox i where i.run_id = r.id)
          and not exists (
            select 1 from waits w where w.run_id = r.id and (w.kind is not null or w.fire_at is not null))""",
        "the run is {detail}, but nothing will ever move it",
        CANCEL_IT,
    ),
    Check(
        "attempt_of_lost_worker",
        """select a.run_id as run_id, a.path as detail from attempts a
        left join incarnations w on w.id = a.incarnation_id
        where a.status = 'running'
          and (w.id is null or coalesce(w.lost_at, w.retired_at) < now_us() - :patience)""",
        "the attempt of task {detail} is running, but its worker is gone, and nobody has noticed",
        "Restart Millrace; if it stays, report it.",
    ),
    Check(
        "live_attempt_of_finished_run",
        """select a.run_id as run_id, a.path as detail from attempts a
        join runs r on r.id = a.run_id where r.finished_at is not null and a.finished_at is null""",
        "the run has finished, but an attempt of task {detail} is still live",
        "Restart Millrace, which ends what no run wants any more.",
    ),
    Check(
        "unfinished_task_of_finished_run",
        """select t.run_id as run_id, t.path as detail from task_runs t
        join runs r on r.id = t.run_id
        where r.finished_at is not null and t.finished_at is null""",
        "the run has finished, but its task {detail} has not",
        REPORT_IT,
    ),
    Check(
        "task_rows_missing",
        _TASK_ROWS_MISSING.format(*(f"json_array_length(v.definition, '$.{part}')" for part in PARTS)),
        "the run has {detail} task runs, which is less than its version lists tasks",
        "Restore the database from a backup if rows were deleted by hand; otherwise report it.",
        _TASK_ROWS_MISSING.format(*(f"json_array_length(cast(v.definition as json) -> '{part}')" for part in PARTS)),
    ),
    Check(
        "timer_of_finished_run",
        """select t.run_id as run_id, t.kind as detail from timers t
        left join runs r on r.id = t.run_id
        where (r.id is null or r.finished_at is not null) and t.fire_at < now_us() - :patience""",
        "the timer {detail} outlived its run",
        REPORT_IT,
    ),
    Check(
        "fact_left_in_inbox",
        """select i.run_id as run_id, i.kind as detail from inbox i where i.created_at < now_us() - :patience""",
        "a fact of kind {detail} has waited in the run's inbox for more than a minute",
        "See the server's log for why the run cannot take it.",
    ),
    Check(
        "task_without_attempt",
        f"""select t.run_id as run_id, t.path as detail from task_runs t
        where t.live and not exists (
          select 1 from attempts a where a.run_id = t.run_id and a.path = t.path and a.number = t.attempt and {LIVE})
          and not exists (
            select 1 from inbox i where i.run_id = t.run_id and i.kind in ('attempt_withdrawn', 'attempt_expired'))""",
        "task {detail} believes to have a live attempt, but there is none",
        CANCEL_IT,
    ),
    Check(
        "ready_without_attempt",
        f"""select t.run_id as run_id, t.path as detail from runs r
        cross join task_runs t where t.run_id = r.id
          and {LIVE_RUN} and r.status <> 'paused' and t.status = 'ready' and not t.live""",
        "task {detail} is ready, but has no attempt that a worker could claim",
        CANCEL_IT,
    ),
    Check(
        "attempt_without_task",
        # First attempts, which most are, are compared with the tasks as two sorted lists: no task is looked up.
        f"""select run_id, path as detail from (
          select run_id, path from attempts where number <= 1
          except select run_id, path from task_runs where attempt >= 1 order by run_id, path) as unknown
        {_LATER_OR_LIVE}""",
        "there is an attempt that its task {detail} does not know",
        REPORT_IT,
        f"""select a.run_id, a.path as detail from attempts a
        where a.number <= 1 and not exists (
          select 1 from task_runs t where t.run_id = a.run_id and t.path = a.path and t.attempt >= 1)
        {_LATER_OR_LIVE}""",
    ),
    Check(
        "history_gap",
        # One too high takes away what it would add: only all of 1 to `last_seq`, and none beside, sum up to that.
        """select r.id as run_id, r.last_seq as detail from runs r
        where r.last_seq <> coalesce((
          select sum(case when e.seq between 1 and r.last_seq then 1 else -1 end)
          from records e where e.run_id = r.id), 0)""",
        "the history should have the records 1 to {detail}, without gaps, and has not",
        "Restore the database from a backup if records were deleted by hand; otherwise report it.",
        """select r.id as run_id, r.last_seq as detail from runs r
        left join (
          select run_id, count(*) as number, min(seq) as first, max(seq) as last from records group by run_id) e
          on e.run_id = r.id
        where r.last_seq <> coalesce(e.number, 0) or e.first <> 1 or e.last <> r.last_seq""",
    ),
    Check(
        "end_not_recorded",
        """select r.id as run_id, r.status as detail from runs r
        where r.finished_at is not null
          and not exists (
            select 1 from records e where e.run_id = r.id and e.seq = r.last_seq and e.type = 'run.' || r.status)
          and not exists (select 1 from records e where e.run_id = r.id and e.type = 'run.' || r.status)""",
        "the run is {detail}, but its history does not say so",
        REPORT_IT,
        f"""select r.id as run_id, r.status as detail from runs r
        where r.finished_at is not null
          and not exists (
            select 1 from records e
            where e.run_id = r.id and e.type = 'run.' || r.status and {ENDS})""",
    ),
    Check(
        "limit_exceeded",
        """select min(r.id) as run_id, r.admission_key as detail from runs r
        where r.admission_key is not null and r.admitted_at is not null and r.finished_at is null
        group by r.admission_key having count(*) > max(r.admission_limit)""",
        "more runs than allowed are admitted under {detail}",
        REPORT_IT,
    ),
    Check(
        "unserved_queue",
        """select a.run_id as run_id, a.queue as detail from attempts a
        where a.status = 'scheduled' and a.available_at < now_us() - :patience
          and not exists (
            select 1 from incarnations w
            where w.lost_at is null and w.retired_at is null
              and (w.queues like '%"*"%' or replace(w.queues, '"' || a.queue || '"', '') <> w.queues))""",
        "an attempt waits in the queue {detail}, which no worker serves",
        "Start a worker for that queue, or take `queue` out of the task.",
    ),
    Check(
        "timer_not_fired",
        """select t.run_id as run_id, t.kind as detail from timers t
        join runs r on r.id = t.run_id where r.finished_at is null and t.fire_at < now_us() - :patience""",
        "the timer {detail} has been due for more than a minute, and the run has not taken it",
        "See the server's log for why the run cannot take it.",
    ),
    Check(
        "adopted_from_nowhere",
        """select t.run_id as run_id, t.path as detail from task_runs t
        join runs r on r.id = t.run_id
        left join runs o on o.id = t.adopted_from
        left join task_runs s on s.run_id = o.id and s.path = t.path
        where t.adopted_from is not null
          and (o.id is null or o.root_run_id <> r.root_run_id or s.run_id is null or s.adopted_from is not null
            or s.status <> t.status)""",
        "task {detail} refers to the output of a run that has none for it, or is of another family",
        "Rerun the whole run; restore the database from a backup if rows were deleted by hand.",
    ),
    Check(
        "task_limit_exceeded",
        """select min(a.run_id) as run_id, a.limit_key as detail from attempts a
        where a.limit_key is not null and a.finished_at is null and a.status = 'running'
        group by a.limit_key having count(*) > max(a.limit_size)""",
        "more attempts than allowed run under the key {detail}",
        REPORT_IT,
    ),
    Check(
        "rate_limit_far_ahead",
        """select null as run_id, l.key as detail from limits l
        join (select rate_key, max(rate_period_us) as period from runs where rate_key is not null group by rate_key) r
          on r.rate_key = l.key
        where l.next_free_at > now_us() + r.period""",
        "the rate limit {detail} is used up further ahead than its period",
        "The clock of this machine was set back; runs under the limit start again when it has caught up.",
    ),
    Check(
        "start_key_of_other_workflow",
        """select r.id as run_id, k.key as detail from start_keys k join runs r on r.id = k.run_id
        where k.namespace = 'caller' and k.scope <> r.workflow_id""",
        "the start key {detail} names this run, which is of another workflow than the key",
        REPORT_IT,
    ),
    Check(
        "start_key_of_other_repeat",
        """select r.id as run_id, k.key as detail from start_keys k join runs r on r.id = k.run_id
        where k.namespace = 'repeat' and (r.retry_of is null or k.scope <> r.retry_of)""",
        "the start key {detail} names this run, which repeats another run than the key is for",
        REPORT_IT,
    ),
    Check(
        "run_without_version",
        """select r.id as run_id, r.version_id as detail from runs r
        left join workflow_versions v on v.id = r.version_id where v.id is null""",
        "the version {detail} that the run was started with is gone",
        "Restore the database from a backup; versions are never deleted while runs refer to them.",
    ),
)  # fmt: skip
