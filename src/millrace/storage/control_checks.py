"""What the doctor asks of control tasks: waits and who waits, what they wait for, what stands in loops.

Waits and their routes are of live runs only, so these tables are read whole. Task runs in loops are told by their path
alone: `load[3].store` stands in the fourth iteration of `load`, or in one of a loop within that.
"""

from millrace.core.states import FINISHED_TASK
from millrace.storage.run_checks import CANCEL_IT, LIVE_RUN, REPORT_IT, Check
from millrace.storage.tables import one_of

FINISHED = one_of("t.status", FINISHED_TASK)

_IN_LOOP = """select t.run_id as run_id, t.path as detail from task_runs t
  left join task_runs l on l.run_id = t.run_id and l.path = substr(t.path, 1, {bracket} - 1)
  where t.path like '%].%' and t.adopted_from is null
    and (l.run_id is null or cast(
      substr(t.path, {bracket} + 1, {end} - {bracket} - 1) as integer) >= coalesce(l.size, {{unbounded}}))"""


def _in_loop(find: str) -> str:
    """`find` answers where a bracket first stands in a path."""
    places = {"bracket": find.format("["), "end": find.format("]")}
    return _IN_LOOP.format(**places).format(unbounded=2**31 - 1)


CONTROL_CHECKS = (
    Check(
        "waiting_without_wait",
        f"""select t.run_id as run_id, t.path as detail from runs r
        cross join task_runs t where t.run_id = r.id and {LIVE_RUN} and t.status = 'waiting'
          and not exists (
            select 1 from waits w where w.run_id = t.run_id and w.path = t.path and w.kind is not null)""",
        "task {detail} waits, but nothing says for what, so nothing will ever find it",
        CANCEL_IT,
    ),
    Check(
        "wait_of_no_task",
        f"""select w.run_id as run_id, w.path as detail from waits w
        left join runs r on r.id = w.run_id
        left join task_runs t on t.run_id = w.run_id and t.path = w.path
        where r.id is null or r.finished_at is not null or t.run_id is null or {FINISHED}
          or (w.kind is not null and t.status not in ('waiting', 'cancelling'))""",
        "the wait of task {detail} outlived it",
        REPORT_IT,
    ),
    Check(
        "wait_not_over",
        """select w.run_id as run_id, w.path as detail from waits w
        join runs r on r.id = w.run_id where r.finished_at is null and w.fire_at < now_us() - :patience""",
        "the time of task {detail} has been over for more than a minute, and its run has not taken that",
        "See the server's log for why the run cannot take it.",
    ),
    Check(
        "route_of_no_wait",
        """select o.run_id as run_id, o.path || ' (' || o.route || ')' as detail from wait_routes o
        left join waits w on w.run_id = o.run_id and w.path = o.path
        where w.run_id is null or coalesce(w.kind, '') <> 'event'""",
        "events are brought to task {detail}, which waits for none",
        REPORT_IT,
    ),
    Check(
        "event_without_route",
        """select w.run_id as run_id, w.path as detail from waits w
        where w.kind = 'event'
          and not exists (select 1 from wait_routes o where o.run_id = w.run_id and o.path = w.path)""",
        "task {detail} waits for an event, but no event can find it",
        CANCEL_IT,
    ),
    Check(
        "child_not_started",
        """select w.run_id as run_id, w.path as detail from waits w
        where w.wanted and w.created_at < now_us() - :patience""",
        "the run of the sub-workflow {detail} was to be started more than a minute ago",
        "See the server's log for why it cannot be started.",
    ),
    Check(
        "child_missing",
        """select w.run_id as run_id, w.path as detail from waits w
        left join runs c on c.id = w.child_run_id
        where w.kind = 'child' and not w.wanted
          and (c.id is null or coalesce(c.parent_run_id, '') <> w.run_id)
          and not exists (select 1 from inbox i where i.run_id = w.run_id)""",
        "the sub-workflow {detail} waits for a run that is not there, or is not its own",
        CANCEL_IT,
    ),
    Check(
        "end_of_child_not_told",
        """select w.run_id as run_id, w.path as detail from waits w
        join runs c on c.id = w.child_run_id
        where w.kind = 'child' and c.finished_at < now_us() - :patience
          and not exists (select 1 from inbox i where i.run_id = w.run_id)""",
        "the run of the sub-workflow {detail} has ended, and nobody told the task that waits for it",
        CANCEL_IT,
    ),
    Check(
        "task_outside_of_loop",
        _in_loop("instr(t.path, '{}')"),
        "task {detail} stands in an iteration that its loop does not have",
        REPORT_IT,
        _in_loop("strpos(t.path, '{}')"),
    ),
)  # fmt: skip
