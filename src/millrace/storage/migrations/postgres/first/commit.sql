-- The gated commit: one call, one round trip, one transaction of its own.
--
--     take the gates -> write the rows of the runs that passed -> withdraw -> tell what became of each
--
-- A change is written only if its run has the revision it was decided on, or, for a new run, if its start key is free
-- and the rules of the moment allow it. The rows of all changes that passed are written table by table. A row that the
-- database refuses, or the end of an attempt that is not live any more, rolls the whole back; the caller then commits
-- each change by itself.
--
-- Two calls must never wait for each other, so locks are taken in one order, and each kind sorted: runs, start keys,
-- triggers, limits. Claims take the runs first, too; admission, which comes from the limits, skips runs that are locked.
--
-- Rows that are there already are written one by one, by their key: a join with what is given costs as much from twenty
-- rows on and far more for few, and its plan, once made while a table was small, may read all of it when it is large.
--
-- `behind` counts back from the last number of the run. What is rare comes as JSON: lists of objects that are named like
-- the columns. What is null is not there.

-- What changes bring, in the order in which the engine tells it.

create type run_header as (
  status text, phase text, outcome text, wind_up text, cancels int, error text, started_at bigint, finished_at bigint,
  output text, cancelled_by text, cancelled_at bigint, records int, logs int, id text, revision bigint);

create type run_advance as (records int, logs int, id text, revision bigint);

create type new_task as (
  run_id text, path text, type text, status text, attempt int, live boolean, failures int, crashes int,
  skip_reason text, error text, worker text, adopted_from text, revision bigint, ready_at bigint, available_at bigint,
  started_at bigint, finished_at bigint);

create type task_change as (
  status text, attempt int, live boolean, failures int, crashes int, skip_reason text, error text, worker text,
  revision bigint, ready_at bigint, available_at bigint, started_at bigint, finished_at bigint, input text,
  output text, run_id text, path text);

create type ended_attempt as (
  status text, error text, at bigint, run_id text, path text, number int, token text);

create type new_attempt as (
  run_id text, path text, number int, token text, status text, queue text, priority int, incarnation_id text,
  limit_key text, limit_size int, type_key text, timeout_us bigint, queue_until bigint, expires_at bigint,
  available_at bigint, deadline_at bigint, started_at bigint, decided_at bigint);

create type new_record as (run_id text, behind int, type text, path text, data text, at bigint);

create type new_log as (
  run_id text, behind int, path text, attempt int, level text, text text, metadata text, at bigint);

create type gates as (passed text[], seqs bigint[], logged bigint[], refused json[]);
-- The runs whose changes are written, with the numbers their records and logs end at, and why others are not.

create function commit_runs(
  workers text[], headers run_header[], advances run_advance[], new_runs json, new_tasks new_task[],
  tasks task_change[], ended ended_attempt[], attempts new_attempt[], records new_record[], logs new_log[],
  inbox_done json, timers_done json, timers_cleared text[], timers json, withdrawn json
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
    if withdrawn is not null then
      taken_back := take_back(
        (select json_agg(x) from json_array_elements(withdrawn) x where x ->> 'run_id' = any(gate.passed)),
        'attempt_withdrawn');
    end if;
  end if;
  return json_build_object('passed', gate.passed, 'refused', started.refused, 'withdrawn', taken_back);
end $$;

create function require_live(workers text[]) returns void language plpgsql as $$
declare
  worker text;
begin
  foreach worker in array workers loop
    if not exists (select from incarnations i where i.id = worker and i.lost_at is null and i.retired_at is null) then
      raise exception 'a worker of this commit was declared lost' using errcode = 'MR001';
    end if;
  end loop;
end $$;

-- --- gates -----------------------------------------------------------------------------------------------------------

-- Runs with facts that another commit has folded: two processes may read a fact before one of them has deleted it, and
-- the other may have loaded the run after that, so that its revision tells nothing. (Whoever deletes a fact makes the
-- revision grow, so what is seen here holds, or the gate does not.)
create function already_folded(done json) returns text[] language plpgsql stable as $$
begin
  if done is null then
    return '{}';
  end if;
  return array(
    select distinct x.run_id from json_to_recordset(done) as x(run_id text, id text)
    where not exists (select from inbox i where i.id = x.id));
end $$;

create function take_gates(headers run_header[], advances run_advance[], shut text[]) returns gates language plpgsql as $$
declare
  gate gates := row('{}', '{}', '{}', '{}');
begin
  -- While little is going on nearly all commits are like this.
  if headers is null and cardinality(advances) = 1 then
    update runs r
      set last_seq = r.last_seq + advances[1].records, last_log = r.last_log + advances[1].logs,
        revision = r.revision + 1
      where r.id = advances[1].id and r.revision = advances[1].revision and r.id <> all(shut)
      returning array[r.id], array[r.last_seq], array[r.last_log] into gate.passed, gate.seqs, gate.logged;
    return gate;
  end if;
  return take_many_gates(headers, advances, shut);
end $$;

-- All of a kind in one statement, for each writes to the line of changes; planned for what is given.
create function take_many_gates(headers run_header[], advances run_advance[], shut text[])
returns gates language plpgsql set plan_cache_mode = force_custom_plan as $$
declare
  gate gates := row('{}', '{}', '{}', '{}');
  part gates;
begin
  -- One alone is locked by its update.
  if coalesce(cardinality(headers), 0) + coalesce(cardinality(advances), 0) > 1 then
    perform from runs
      where id in (select x.id from unnest(headers) x union all select x.id from unnest(advances) x)
      order by id for update;
  end if;
  if advances is not null then
    with done as (
      update runs r
        set last_seq = r.last_seq + x.records, last_log = r.last_log + x.logs, revision = r.revision + 1
        from unnest(advances) x
        where r.id = x.id and r.revision = x.revision and r.id <> all(shut)
        returning r.id, r.last_seq, r.last_log)
    select array_agg(id), array_agg(last_seq), array_agg(last_log), null into part from done;
    gate := row(gate.passed || part.passed, gate.seqs || part.seqs, gate.logged || part.logged, gate.refused);
  end if;
  if headers is not null then
    with done as (
      update runs r
        set status = x.status, phase = x.phase, outcome = x.outcome, wind_up = x.wind_up, cancels = x.cancels,
          error = x.error, started_at = x.started_at, finished_at = x.finished_at,
          output = coalesce(x.output, r.output), cancelled_by = coalesce(r.cancelled_by, x.cancelled_by),
          cancelled_at = coalesce(r.cancelled_at, x.cancelled_at), last_seq = r.last_seq + x.records,
          last_log = r.last_log + x.logs, revision = r.revision + 1
        from unnest(headers) x
        where r.id = x.id and r.revision = x.revision and r.id <> all(shut)
        returning r.id, r.last_seq, r.last_log)
    select array_agg(id), array_agg(last_seq), array_agg(last_log), null into part from done;
    gate := row(gate.passed || part.passed, gate.seqs || part.seqs, gate.logged || part.logged, gate.refused);
  end if;
  return gate;
end $$;

-- Each start is an object: `run`, a row, and what guards it, if anything does: `key`, `firing`, `origins` (runs that
-- must be there still, with their payloads where `adopted`), `skip` (its limit must have room).
create function start_runs(starts json) returns gates language plpgsql as $$
declare
  gate gates := row('{}', '{}', '{}', '{}');
  start json;
  run runs;
  refusal json;
begin
  for start in select x from json_array_elements(starts) with ordinality as one(x, turn)
    order by x #>> '{key,namespace}', x #>> '{key,scope}', x #>> '{key,key}', turn
  loop
    run := json_populate_record(null::runs, start -> 'run');
    refusal := refusal_of(start, run);
    if refusal is null then
      insert into runs (
        id, workflow_id, version_id, status, phase, outcome, wind_up, cancels, revision, last_seq, last_log,
        trigger_type, trigger_id, triggered_by, trigger_data, input, variables, output, error, correlation_id,
        priority, admission_key, admission_limit, when_full, rate_key, rate_limit, rate_period_us, run_at,
        root_run_id, parent_run_id, retry_of, causation_depth, cancelled_by, cancelled_at, created_at, started_at,
        finished_at)
      values (
        run.id, run.workflow_id, run.version_id, run.status, run.phase, run.outcome, run.wind_up, run.cancels,
        run.revision, run.last_seq, run.last_log, run.trigger_type, run.trigger_id, run.triggered_by,
        run.trigger_data, run.input, run.variables, run.output, run.error, run.correlation_id, run.priority,
        run.admission_key, run.admission_limit, run.when_full, run.rate_key, run.rate_limit, run.rate_period_us,
        run.run_at, run.root_run_id, run.parent_run_id, run.retry_of, run.causation_depth, run.cancelled_by,
        run.cancelled_at, run.created_at, run.started_at, run.finished_at)
      on conflict (id) do nothing;
      if found then
        perform note_firing(start -> 'firing', run);
        gate := row(gate.passed || run.id::text, gate.seqs || run.last_seq, gate.logged || run.last_log, gate.refused);
      else
        refusal := json_build_array(run.id, 'started', run.id, true);
      end if;
    end if;
    if refusal is not null then
      gate.refused := gate.refused || refusal;
    end if;
  end loop;
  return gate;
end $$;

-- Why a run is not started; null when it may be. Its start key is taken then, and what it needs is held to the end of
-- the transaction. Asked first is what was started before: whatever has changed since, it stays so.
create function refusal_of(start json, run runs) returns json language plpgsql as $$
declare
  wanted start_keys := json_populate_record(null::start_keys, start -> 'key');
  holder start_keys;
  origin json;
  kept boolean;
begin
  if start -> 'key' is null and start -> 'firing' is null and start -> 'origins' is null and start -> 'skip' is null then
    return null;
  end if;
  if exists (select from runs where id = run.id) then
    return json_build_array(run.id, 'started', run.id, true);
  end if;
  select * into holder from start_keys k
    where k.namespace = wanted.namespace and k.scope = wanted.scope and k.key = wanted.key and k.expires_at > now_us();
  if found then
    return json_build_array(run.id, 'started', holder.run_id, holder.request_hash = wanted.request_hash);
  end if;
  if start -> 'firing' is not null then
    perform from triggers t
      where t.id = start #>> '{firing,trigger_id}' and t.revision = (start #>> '{firing,revision}')::int and t.enabled
      for update;
    if not found then
      return json_build_array(run.id, 'trigger_changed');
    end if;
  end if;
  for origin in select x from json_array_elements(start -> 'origins') x order by x ->> 'id' loop
    -- Written, though nothing changes: whoever is to delete it, by what was there before, notices and looks again.
    update runs r set revision = r.revision where r.id = origin ->> 'id'
      returning r.payloads_deleted_at is null into kept;
    if not found then
      return json_build_array(run.id, 'origin_deleted', origin ->> 'id');
    elsif not kept and (origin ->> 'adopted')::boolean then
      return json_build_array(run.id, 'payloads_deleted', origin ->> 'id');
    end if;
  end loop;
  if start -> 'skip' is not null then
    perform lock_limits(array[run.admission_key::text]);
    if live_runs(run.admission_key) >= run.admission_limit then
      return json_build_array(run.id, 'limit_full');
    end if;
  end if;
  if wanted.key is null then
    return null;
  end if;
  insert into start_keys as k (namespace, scope, key, request_hash, run_id, expires_at)
    values (wanted.namespace, wanted.scope, wanted.key, wanted.request_hash, run.id, wanted.expires_at)
    on conflict (namespace, scope, key) do update
      set request_hash = excluded.request_hash, run_id = excluded.run_id, expires_at = excluded.expires_at
      where k.expires_at <= now_us();
  if found then
    return null;
  end if;
  -- Taken between the look and the insert, by a transaction that this one waited for.
  select * into holder from start_keys k
    where k.namespace = wanted.namespace and k.scope = wanted.scope and k.key = wanted.key;
  return json_build_array(run.id, 'started', holder.run_id, holder.request_hash = wanted.request_hash);
end $$;

create function note_firing(firing json, run runs) returns void language plpgsql as $$
begin
  if firing is null then
    return;
  end if;
  update triggers
    set last_fired_at = now_us(), last_run_id = run.id, last_error = null, fired_count = fired_count + 1,
      started_count = started_count + 1, next_due_at = (firing ->> 'next_due_at')::bigint,
      decided_until = greatest(decided_until, (firing ->> 'decided_until')::bigint, 0)
    where id = firing ->> 'trigger_id';
  insert into firings (id, trigger_id, workflow_id, start_key, due_at, decision, run_id, at)
    values (firing ->> 'id', firing ->> 'trigger_id', run.workflow_id, firing ->> 'start_key',
      (firing ->> 'due_at')::bigint, 'started', run.id, now_us());
end $$;

-- --- rows of the runs that passed; of all, where `passed` is null ----------------------------------------------------

create function end_attempts(ended ended_attempt[], passed text[]) returns void language plpgsql as $$
declare
  x ended_attempt;
begin
  if ended is null then
    return;
  end if;
  foreach x in array ended loop
    continue when x.run_id <> all(passed);
    update attempts a set status = x.status, error = x.error, finished_at = x.at
      where a.run_id = x.run_id and a.path = x.path and a.number = x.number
        and a.token = coalesce(x.token, a.token) and a.finished_at is null;
    if not found then
      raise exception 'attempt % of % in % is not live, or held by another worker', x.number, x.path, x.run_id
        using errcode = 'MR002';
    end if;
  end loop;
end $$;

create function write_tasks(new_tasks new_task[], tasks task_change[], passed text[]) returns void language plpgsql as $$
declare
  x task_change;
begin
  if new_tasks is not null then
    insert into task_runs (
      run_id, path, type, status, attempt, live, failures, crashes, skip_reason, error, worker, adopted_from,
      revision, ready_at, available_at, started_at, finished_at)
    select n.run_id, n.path, n.type, n.status, n.attempt, n.live, n.failures, n.crashes, n.skip_reason, n.error,
      n.worker, n.adopted_from, n.revision, n.ready_at, n.available_at, n.started_at, n.finished_at
    from unnest(new_tasks) n where (passed is null or n.run_id = any(passed));
  end if;
  if tasks is null then
    return;
  end if;
  foreach x in array tasks loop
    continue when x.run_id <> all(passed);
    update task_runs t
      set status = x.status, attempt = x.attempt, live = x.live, failures = x.failures, crashes = x.crashes,
        skip_reason = x.skip_reason, error = x.error, worker = coalesce(x.worker, t.worker), revision = x.revision,
        ready_at = x.ready_at, available_at = x.available_at, started_at = coalesce(t.started_at, x.started_at),
        finished_at = x.finished_at, input = coalesce(x.input, t.input), output = coalesce(x.output, t.output)
      where t.run_id = x.run_id and t.path = x.path;
  end loop;
end $$;

-- Their times are moved by what the clock of the process that decided on them, at `decided_at`, is behind this one.
create function schedule_attempts(attempts new_attempt[], passed text[]) returns void language plpgsql as $$
declare
  clock bigint := now_us();
begin
  if attempts is null then
    return;
  end if;
  insert into attempts (
    run_id, path, number, token, status, queue, priority, incarnation_id, limit_key, limit_size, type_key, timeout_us,
    queue_until, expires_at, available_at, deadline_at, started_at)
  select x.run_id, x.path, x.number, x.token, x.status, x.queue, x.priority, x.incarnation_id, x.limit_key,
    x.limit_size, x.type_key, x.timeout_us, x.queue_until + clock - x.decided_at, x.expires_at + clock - x.decided_at,
    x.available_at + clock - x.decided_at, x.deadline_at + clock - x.decided_at, x.started_at + clock - x.decided_at
  from unnest(schedule_attempts.attempts) x where (passed is null or x.run_id = any(passed));
end $$;

create function write_histories(records new_record[], logs new_log[], passed text[], seqs bigint[], logged bigint[])
returns void language plpgsql as $$
begin
  if cardinality(passed) > 1 then
    perform write_many_histories(records, logs, passed, seqs, logged);
    return;
  end if;
  if records is not null then
    insert into records (run_id, seq, type, path, data, at)
    select x.run_id, seqs[1] - x.behind, x.type, x.path, x.data, x.at
    from unnest(write_histories.records) x where x.run_id = passed[1];
  end if;
  if logs is not null then
    insert into logs (run_id, seq, path, attempt, level, text, metadata, at)
    select x.run_id, logged[1] - x.behind, x.path, x.attempt, x.level, x.text, x.metadata, x.at
    from unnest(write_histories.logs) x where x.run_id = passed[1];
  end if;
end $$;

-- Each row meets the numbers of its run by a hash, however many there are.
create function write_many_histories(
  records new_record[], logs new_log[], passed text[], seqs bigint[], logged bigint[])
returns void language plpgsql set enable_nestloop = off as $$
begin
  if records is not null then
    insert into records (run_id, seq, type, path, data, at)
    select x.run_id, g.seq - x.behind, x.type, x.path, x.data, x.at
    from unnest(write_many_histories.records) x
    join unnest(passed, seqs) as g(id, seq) on g.id = x.run_id;
  end if;
  if logs is not null then
    insert into logs (run_id, seq, path, attempt, level, text, metadata, at)
    select x.run_id, g.seq - x.behind, x.path, x.attempt, x.level, x.text, x.metadata, x.at
    from unnest(write_many_histories.logs) x
    join unnest(passed, logged) as g(id, seq) on g.id = x.run_id;
  end if;
end $$;

create function write_waits(done json, timers_done json, cleared text[], timers json, passed text[])
returns void language plpgsql as $$
declare
  timer record;
begin
  if done is not null then
    delete from inbox where id = any(array(
      select x.id from json_to_recordset(done) as x(run_id text, id text)
      where (passed is null or x.run_id = any(passed))));
  end if;
  if timers_done is not null then
    for timer in select x.run_id, x.kind from json_to_recordset(timers_done) as x(run_id text, kind text) loop
      continue when timer.run_id <> all(passed);
      delete from timers t where t.run_id = timer.run_id and t.kind = timer.kind;
    end loop;
  end if;
  if cleared is not null then
    delete from timers t where t.run_id = any(cleared) and (passed is null or t.run_id = any(passed));
  end if;
  if timers is not null then
    insert into timers (run_id, kind, fire_at)
      select x.run_id, x.kind, x.fire_at
      from json_to_recordset(write_waits.timers) as x(run_id text, kind text, fire_at bigint)
      where (passed is null or x.run_id = any(passed))
      on conflict (run_id, kind) do update set fire_at = excluded.fire_at;
  end if;
end $$;

-- What no worker has claimed is taken back. The fact of it takes the attempt's token as its id: it happens once.
create function take_back(given json, kind text) returns json language plpgsql as $$
declare
  told json;
begin
  if given is null then
    return null;
  end if;
  with taken as (
    update attempts a set status = 'cancelled', finished_at = x.at
      from json_to_recordset(given) as x(run_id text, path text, number int, at bigint)
      where a.run_id = x.run_id and a.path = x.path and a.number = x.number and a.status = 'scheduled'
      returning a.token, a.run_id, a.path, a.number, x.at),
  written as (
    insert into inbox (id, run_id, kind, data, created_at)
      select token, run_id, take_back.kind, json_build_object('path', path, 'number', number)::text, at from taken)
  select json_agg(json_build_array(token, run_id, path, number)) into told from taken;
  return told;
end $$;
