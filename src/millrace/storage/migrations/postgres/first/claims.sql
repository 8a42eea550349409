-- Claims: which scheduled attempts a worker gets, by (priority, age), and never more than a limit allows.
--
-- Attempts under a limit (their own key's, or their task type's) are looked up by key, so that thousands that wait
-- behind a full limit do not stand in the way of others. How many run is counted from the rows, never stored; whoever
-- counts holds the key's row in `limits`.

create type waiting as (
  run_id text, path text, number int, token text, timeout_us bigint, expires_at bigint, priority int,
  available_at bigint, limit_key text, limit_size int, type_key text);

-- Claim up to `most`. Runs that another transaction is writing are passed over, and waited for only if there is no other:
-- so nothing is held while it waits.
create function claim_attempts(worker text, queues text[], most int, type_limits json)
returns json language plpgsql as $$
declare
  every boolean := '*' = any(queues);
  served text[] := case when every then waiting_queues() else queues end;
  candidates waiting[];
  free text[];
begin
  perform require_live(array[worker]);
  candidates := waiting_attempts(served, most)
    || waiting_under_limits(case when not every then queues end, most, type_limits);
  if cardinality(candidates) = 0 then
    return null;
  end if;
  select array_agg(id) into free from (
    select id from runs where id in (select c.run_id from unnest(candidates) c) order by id for update skip locked) r;
  if free is null then
    select array_agg(id) into free from (
      select id from runs where id in (select c.run_id from unnest(candidates) c) order by id for update) r;
  end if;
  return claim_among(worker, candidates, free, most, type_limits);
end $$;

create function waiting_queues() returns text[] language plpgsql stable as $$
begin
  return (
    with recursive found (queue) as (
      select min(queue) from attempts where status = 'scheduled' and limit_key is null and type_key is null
      union all
      select (select min(queue) from attempts
              where status = 'scheduled' and limit_key is null and type_key is null and queue > found.queue)
      from found where found.queue is not null)
    select coalesce(array_agg(queue), '{}') from found where queue is not null);
end $$;

create function waiting_attempts(queues text[], most int) returns waiting[] language plpgsql stable as $$
declare
  queue text;
  found waiting[] := '{}';
begin
  foreach queue in array queues loop
    found := found || waiting_in(queue, most);
  end loop;
  return found;
end $$;

-- One priority after the other: of those that are due later, however many and urgent, one is read.
create function waiting_in(of_queue text, most int) returns waiting[] language plpgsql stable as $$
declare
  found waiting[] := '{}';
  level bigint := 2147483648;
begin
  while cardinality(found) < most loop
    select max(priority) into level from attempts
      where status = 'scheduled' and limit_key is null and type_key is null and queue = of_queue and priority < level;
    exit when level is null;
    found := found || array(
      select row(a.run_id, a.path, a.number, a.token, a.timeout_us, a.expires_at, a.priority, a.available_at, null, null,
        null)::waiting
      from attempts a
      where a.status = 'scheduled' and a.limit_key is null and a.type_key is null and a.queue = of_queue
        and a.priority = level and a.available_at <= now_us()
      order by a.available_at limit most);
  end loop;
  return found;
end $$;

-- Each key that live attempts have is found by one step into its index, however many have it. What runs under a key is
-- counted once (`offset 0`), and of a key that is full nothing else is read. No queues: any.
create function waiting_under_limits(queues text[], most int, type_limits json)
returns waiting[] language plpgsql stable as $$
declare
  found waiting[];
begin
  with recursive limit_keys (key) as (
    select min(limit_key) from attempts where limit_key is not null and finished_at is null
    union all
    select (select min(limit_key) from attempts
            where limit_key is not null and finished_at is null and limit_key > k.key)
    from limit_keys k where k.key is not null),
  type_keys (key) as (
    select min(type_key) from attempts where type_key is not null and finished_at is null
    union all
    select (select min(type_key) from attempts where type_key is not null and finished_at is null and type_key > k.key)
    from type_keys k where k.key is not null),
  under_limits as (
    select w.* from limit_keys k
    cross join lateral (
      select running_under('limit_key', k.key) < (
        select max(limit_size) from attempts a
        where a.limit_key = k.key and a.limit_key is not null and a.finished_at is null) as is_free,
        running_under('limit_key', k.key) as number offset 0) room
    cross join lateral (
      select * from attempts a
      where room.is_free and a.limit_key = k.key and a.limit_key is not null and a.finished_at is null
        and a.status = 'scheduled' and a.available_at <= now_us() and (queues is null or a.queue = any(queues))
        and room.number < a.limit_size
      order by a.priority desc, a.available_at limit most) w
    union
    select w.* from type_keys k
    cross join lateral (
      select running_under('type_key', k.key) < coalesce((type_limits ->> k.key)::int, 2147483647) as is_free
      offset 0) room
    cross join lateral (
      select * from attempts a
      where room.is_free and a.type_key = k.key and a.type_key is not null and a.finished_at is null
        and a.status = 'scheduled' and a.available_at <= now_us() and (queues is null or a.queue = any(queues))
      order by a.priority desc, a.available_at limit most) w)
  select coalesce(array_agg(row(a.run_id, a.path, a.number, a.token, a.timeout_us, a.expires_at, a.priority,
    a.available_at, a.limit_key, a.limit_size, a.type_key)::waiting), '{}') into found
  from under_limits a;
  return found;
end $$;

create function running_under(kind text, key text) returns bigint language sql stable as $$
  select case kind
    when 'limit_key' then (select count(*) from attempts a
      where a.limit_key = key and a.limit_key is not null and a.finished_at is null and a.status = 'running')
    else (select count(*) from attempts a
      where a.type_key = key and a.type_key is not null and a.finished_at is null and a.status = 'running') end
$$;

-- Claim what is still there of `candidates`, in turn, of those runs that this transaction holds. Each attempt is held to
-- the size of its key that it was made with, and counts all that run under the key; a type whose limit was lifted since
-- has none.
create function claim_among(worker text, candidates waiting[], free text[], most int, type_limits json)
returns json language plpgsql as $$
declare
  chosen waiting[] := '{}';
  candidate waiting;
  running jsonb;
begin
  if free is null then
    return null;
  end if;
  running := running_under_limits(candidates, type_limits);
  for candidate in
    select c.* from unnest(candidates) c
    join attempts a on a.run_id = c.run_id and a.path = c.path and a.number = c.number
    where c.run_id = any(free) and a.status = 'scheduled'
    order by c.priority desc, c.available_at, c.run_id, c.path
  loop
    exit when cardinality(chosen) = most;
    if (running ->> ('task limit ' || candidate.limit_key))::int >= candidate.limit_size
      or (running ->> ('task type ' || candidate.type_key))::int >= (type_limits ->> candidate.type_key)::int then
      continue;
    end if;
    running := one_more(one_more(running, 'task limit ' || candidate.limit_key), 'task type ' || candidate.type_key);
    chosen := chosen || candidate;
  end loop;
  return case when cardinality(chosen) > 0 then claim_chosen(worker, chosen) end;
end $$;

create function one_more(running jsonb, key text) returns jsonb language sql immutable as $$
  select case when running ? key then running || jsonb_build_object(key, (running ->> key)::int + 1) else running end
$$;

-- How many run under each key of the candidates. Nobody else claims under these keys until this transaction ends.
create function running_under_limits(candidates waiting[], type_limits json) returns jsonb language plpgsql as $$
declare
  running jsonb;
begin
  perform lock_limits(array(
    select 'task limit ' || c.limit_key from unnest(candidates) c where c.limit_key is not null
    union select 'task type ' || c.type_key from unnest(candidates) c where type_limits ->> c.type_key is not null));
  select coalesce(jsonb_object_agg(key, number), '{}') into running from (
    select 'task limit ' || c.limit_key as key, running_under('limit_key', c.limit_key) as number
    from (select distinct limit_key from unnest(candidates) where limit_key is not null) c
    union all
    select 'task type ' || c.type_key, running_under('type_key', c.type_key)
    from (select distinct type_key from unnest(candidates) where type_limits ->> type_key is not null) c) r;
  return running;
end $$;

create function claim_chosen(worker text, chosen waiting[]) returns json language plpgsql as $$
declare
  claimed json;
begin
  with taken as (
    update attempts a
      set status = 'running', incarnation_id = worker, started_at = now_us(),
        deadline_at = least(now_us() + c.timeout_us, c.expires_at)
      from unnest(chosen) with ordinality as c(
        run_id, path, number, token, timeout_us, expires_at, priority, available_at, limit_key, limit_size, type_key,
        turn)
      where a.run_id = c.run_id and a.path = c.path and a.number = c.number and a.status = 'scheduled'
      returning a.run_id, a.path, a.number, a.token, a.deadline_at, c.turn),
  task as (
    update task_runs t set status = 'running', worker = claim_chosen.worker,
        started_at = coalesce(t.started_at, now_us())
      from taken where t.run_id = taken.run_id and t.path = taken.path and t.status = 'ready'),
  run as (
    update runs r set last_seq = r.last_seq + n.count
      from (select run_id, count(*) from taken group by run_id) n where r.id = n.run_id returning r.id, r.last_seq),
  record as (
    insert into records (run_id, seq, type, path, data, at)
    select t.run_id, run.last_seq + 1 - row_number() over (partition by t.run_id order by t.turn desc), 'task.started',
      t.path, jsonb_build_object('attempt', t.number, 'worker', worker)::text, now_us()
    from taken t join run on run.id = t.run_id)
  select json_agg(json_build_array(run_id, path, number, token, deadline_at - now_us()) order by turn) into claimed from taken;
  return claimed;
end $$;
