"""Control tasks: what they wait for, which of their blocks runs, and whose sub-workflow a run is.

A commit takes what only they have as one more argument. A process of the release before calls it without that.
"""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BEFORE = Path(__file__).with_name("first") / "commit.sql"

TABLES = (
    "alter table task_runs add column block text, add column size integer, add column awaits text, "
    'add column child_run_id varchar(36) collate "C"',
    'alter table runs add column parent_path varchar(512) collate "C", add column signals text',
    """
create table waits (
  run_id varchar(36) collate "C" not null,
  path varchar(512) collate "C" not null,
  kind varchar(32) collate "C",
  request text,
  child_run_id varchar(36) collate "C",
  wanted boolean default false not null,
  fire_at bigint,
  created_at bigint not null,
  constraint pk_waits primary key (run_id, path)
)""",
    """
create table wait_routes (
  run_id varchar(36) collate "C" not null,
  path varchar(512) collate "C" not null,
  route varchar(255) collate "C" not null,
  correlation varchar(512) collate "C" not null,
  constraint pk_wait_routes primary key (run_id, path, route)
)""",
    "create index ix_runs_parent_run_id_id on runs (parent_run_id, id) where parent_run_id is not null",
    "create index ix_waits_fire_at on waits (fire_at) where fire_at is not null",
    "create index ix_waits_wanted on waits (run_id, path) where wanted",
    "create index ix_waits_approvals on waits (created_at, run_id, path) where kind = 'approval'",
    "create index ix_wait_routes_route on wait_routes (route, correlation, run_id, path)",
)

OLD_TYPES = (
    "text[], run_header[], run_advance[], json, new_task[], task_change[], ended_attempt[], new_attempt[], "
    "new_record[], new_log[], json, json, text[], json, json"
)

# As before, but for `controls`.
COMMIT = """
create function commit_runs(
  workers text[], headers run_header[], advances run_advance[], new_runs json, new_tasks new_task[],
  tasks task_change[], ended ended_attempt[], attempts new_attempt[], records new_record[], logs new_log[],
  inbox_done json, timers_done json, timers_cleared text[], timers json, withdrawn json, controls json
) returns json language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
  gate gates;
  started gates;
  taken_back json;
  asked int := coalesce(cardinality(headers), 0) + coalesce(cardinality(advances), 0)
    + coalesce(json_array_length(new_runs), 0);
  among text[];
begin
  perform require_live(workers);
  gate := take_gates(headers, advances, already_folded(inbox_done));
  if new_runs is not null then
    started := start_runs(new_runs);
    gate.passed := gate.passed || started.passed;
    gate.seqs := gate.seqs || started.seqs;
    gate.logged := gate.logged || started.logged;
  end if;
  if cardinality(gate.passed) > 0 then
    -- Almost always all of them passed; then no row need be looked up.
    among := case when cardinality(gate.passed) < asked then gate.passed end;
    -- Ends before new attempts, for a task run has at most one live attempt at any time.
    perform end_attempts(ended, among);
    perform write_tasks(new_tasks, tasks, among);
    perform schedule_attempts(attempts, among);
    perform write_histories(records, logs, gate.passed, gate.seqs, gate.logged);
    perform write_waits(inbox_done, timers_done, timers_cleared, timers, among);
    if controls is not null then
      perform write_controls(controls, among);
    end if;
    if withdrawn is not null then
      taken_back := take_back(
        (select json_agg(x) from json_array_elements(withdrawn) x where x ->> 'run_id' = any(gate.passed)),
        'attempt_withdrawn');
    end if;
  end if;
  return json_build_object('passed', gate.passed, 'refused', started.refused, 'withdrawn', taken_back);
end $$;"""

# For processes of the release before.
COMMIT_OF_BEFORE = """
create function commit_runs(
  workers text[], headers run_header[], advances run_advance[], new_runs json, new_tasks new_task[],
  tasks task_change[], ended ended_attempt[], attempts new_attempt[], records new_record[], logs new_log[],
  inbox_done json, timers_done json, timers_cleared text[], timers json, withdrawn json
) returns json language sql as $$
  select commit_runs(workers, headers, advances, new_runs, new_tasks, tasks, ended, attempts, records, logs,
    inbox_done, timers_done, timers_cleared, timers, withdrawn, null);
$$;"""

# Lists of objects that are named like the columns. Rows that are there already are written one by one, by their key.
CONTROLS = """
create function write_controls(controls json, passed text[]) returns void language plpgsql as $$
declare
  clock bigint := now_us();
  x record;
begin
  for x in
    select * from json_to_recordset(controls -> 'tasks') as one(block text, size int, awaits text, child_run_id text,
      input text, output text, started_at bigint, run_id text, path text)
  loop
    continue when x.run_id <> all(passed);
    update task_runs t
      set block = coalesce(x.block, t.block), size = coalesce(x.size, t.size), awaits = x.awaits,
        child_run_id = coalesce(x.child_run_id, t.child_run_id), input = coalesce(x.input, t.input),
        output = coalesce(x.output, t.output), started_at = coalesce(t.started_at, x.started_at)
      where t.run_id = x.run_id and t.path = x.path;
  end loop;
  for x in select * from json_to_recordset(controls -> 'unparked') as one(run_id text, path text) loop
    continue when x.run_id <> all(passed);
    delete from waits w where w.run_id = x.run_id and w.path = x.path;
    delete from wait_routes r where r.run_id = x.run_id and r.path = x.path;
  end loop;
  -- Their times are moved by what the clock of the process that decided on them is behind this one.
  insert into waits (run_id, path, kind, request, child_run_id, wanted, fire_at, created_at)
    select w.run_id, w.path, w.kind, w.request, w.child_run_id, w.wanted, w.fire_at + clock - w.created_at, clock
    from json_populate_recordset(null::waits, controls -> 'waits') w where (passed is null or w.run_id = any(passed));
  insert into wait_routes (run_id, path, route, correlation)
    select r.run_id, r.path, r.route, r.correlation
    from json_populate_recordset(null::wait_routes, controls -> 'routes') r
    where (passed is null or r.run_id = any(passed));
  for x in select * from json_to_recordset(controls -> 'cleared') as one(run_id text) loop
    continue when x.run_id <> all(passed);
    delete from waits w where w.run_id = x.run_id;
    delete from wait_routes r where r.run_id = x.run_id;
  end loop;
  -- A run that is told something may not have been started yet, but it must not be over.
  insert into inbox (id, run_id, kind, data, created_at)
    select i.id, i.run_id, i.kind, i.data, clock
    from json_to_recordset(controls -> 'told') as i(id text, run_id text, kind text, data text, teller text)
    where (passed is null or i.teller = any(passed))
      and not exists (select from runs r where r.id = i.run_id and r.finished_at is not null)
    on conflict (id) do nothing;
  for x in select * from json_to_recordset(controls -> 'signals') as one(run_id text, signals text) loop
    continue when x.run_id <> all(passed);
    update runs r set signals = x.signals where r.id = x.run_id;
  end loop;
end $$;"""

PARENT = (
    (" root_run_id, parent_run_id, retry_of", " root_run_id, parent_run_id, parent_path, retry_of"),
    (" run.parent_run_id, run.retry_of", " run.parent_run_id, run.parent_path, run.retry_of"),
)
"""What starts of runs wrote before, and what they write now."""


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    op.execute(CONTROLS)
    op.execute(f"drop function commit_runs({OLD_TYPES})")
    op.execute(COMMIT)
    op.execute(COMMIT_OF_BEFORE)
    starts = _first("function start_runs")
    for before, now in PARENT:
        assert before in starts, "the function is as the first migration made it"  # noqa: S101
        starts = starts.replace(before, now)
    op.execute(starts)


def downgrade() -> None:
    op.execute(f"drop function commit_runs({OLD_TYPES}, json)")
    op.execute("drop function write_controls")
    op.execute(_first("function commit_runs"))
    op.execute(_first("function start_runs"))
    for table in ("wait_routes", "waits"):
        op.execute(f"drop table {table}")
    op.execute("drop index ix_runs_parent_run_id_id")
    op.execute("alter table runs drop column parent_path, drop column signals")
    op.execute(
        "alter table task_runs drop column block, drop column size, drop column awaits, drop column child_run_id"
    )


def _first(name: str) -> str:
    """The function as the first migration made it."""
    _, _, after = BEFORE.read_text("utf-8").partition(f"create {name}")
    body, end, _ = after.partition("end $$;")
    return f"create or replace {name}{body}{end}"
