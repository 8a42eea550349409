"""Claims and lists look at less: keys of limits one after the other, and runs that ended badly by how they ended."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"

BEFORE = Path(__file__).with_name("first") / "claims.sql"
CHANGED = ("function waiting_in", "function waiting_under_limits", "function claim_among")

# The old one goes once the new one is there: who needs the table waits for that moment alone.
BAD_ENDS = (
    "create index new_bad_ends on runs ({}) where status in ('failed', 'cancelled')",
    "drop index ix_runs_ended_badly",
    "alter index new_bad_ends rename to ix_runs_ended_badly",
)

# One priority after the other. The order is that of `ix_attempts_queue` and of no other index: along that of what is
# due first, claims would pass all that waits in other queues. An equation would make the two orders the same.
IN_QUEUE = """
create or replace function waiting_in(of_queue text, most int) returns waiting[] language plpgsql stable as $$
declare
  found waiting[] := '{}';
  level bigint := 2147483648;
begin
  while cardinality(found) < most loop
    select max(priority) into level from attempts
      where status = 'scheduled' and limit_key is null and type_key is null and queue = of_queue and priority < level;
    exit when level is null;
    found := found || array(
      select row(a.run_id, a.path, a.number, a.token, a.timeout_us, a.expires_at, a.priority, a.available_at, null,
        null, null)::waiting
      from (
        select * from attempts
        where status = 'scheduled' and limit_key is null and type_key is null and queue = of_queue
          and priority between level and level
        order by priority desc, available_at limit most) a
      where a.available_at <= now_us());
  end loop;
  return found;
end $$;"""

# Each key that live attempts have is found by one step into its index, however many have it, and of a key that is full
# nothing else is read. No queues: any. As one statement for all keys it took longer to begin than all else in a claim.
UNDER_LIMITS = """
create or replace function waiting_under_limits(queues text[], most int, type_limits json)
returns waiting[] language plpgsql stable as $$
declare
  found waiting[] := '{}';
  of_key text;
  taken bigint;
begin
  select min(limit_key) into of_key from attempts where limit_key is not null and finished_at is null;
  while of_key is not null loop
    taken := (
      select count(*) from attempts where limit_key = of_key and limit_key is not null and status = 'running');
    if taken < (
      select max(limit_size) from attempts where limit_key = of_key and limit_key is not null and finished_at is null)
    then
      found := found || array(
        select row(a.run_id, a.path, a.number, a.token, a.timeout_us, a.expires_at, a.priority, a.available_at,
          a.limit_key, a.limit_size, a.type_key)::waiting
        from attempts a
        where a.limit_key = of_key and a.limit_key is not null and a.finished_at is null and a.status = 'scheduled'
          and a.available_at <= now_us() and (queues is null or a.queue = any(queues)) and a.limit_size > taken
        order by a.priority desc, a.available_at limit most);
    end if;
    select min(limit_key) into of_key from attempts
      where limit_key is not null and finished_at is null and limit_key > of_key;
  end loop;
  select min(type_key) into of_key from attempts where type_key is not null and finished_at is null;
  while of_key is not null loop
    taken := (select count(*) from attempts where type_key = of_key and type_key is not null and status = 'running');
    if taken < coalesce((type_limits ->> of_key)::int, 2147483647) then
      found := found || array(
        select row(a.run_id, a.path, a.number, a.token, a.timeout_us, a.expires_at, a.priority, a.available_at,
          a.limit_key, a.limit_size, a.type_key)::waiting
        from attempts a
        where a.type_key = of_key and a.type_key is not null and a.finished_at is null and a.status = 'scheduled'
          and a.available_at <= now_us() and (queues is null or a.queue = any(queues))
        order by a.priority desc, a.available_at limit most);
    end if;
    select min(type_key) into of_key from attempts
      where type_key is not null and finished_at is null and type_key > of_key;
  end loop;
  return case when cardinality(found) > 0 then array(select distinct w from unnest(found) w) else found end;
end $$;"""

AMONG = """
create or replace function claim_among(worker text, candidates waiting[], free text[], most int, type_limits json)
returns json language plpgsql as $$
declare
  chosen waiting[] := '{}';
  candidate waiting;
  running jsonb := '{}';
begin
  if free is null then
    return null;
  end if;
  if exists (select from unnest(candidates) c where c.limit_key is not null or c.type_key is not null) then
    running := running_under_limits(candidates, type_limits);
  end if;
  for candidate in
    select c.* from unnest(candidates) c
    join attempts a on a.run_id = c.run_id and a.path = c.path and a.number = c.number
    where c.run_id = any(free) and a.status = 'scheduled'
    order by c.priority desc, c.available_at, c.run_id, c.path
  loop
    exit when cardinality(chosen) = most;
    if running <> '{}' then
      if (running ->> ('task limit ' || candidate.limit_key))::int >= candidate.limit_size
        or (running ->> ('task type ' || candidate.type_key))::int >= (type_limits ->> candidate.type_key)::int then
        continue;
      end if;
      running := one_more(one_more(running, 'task limit ' || candidate.limit_key), 'task type ' || candidate.type_key);
    end if;
    chosen := chosen || candidate;
  end loop;
  return case when cardinality(chosen) > 0 then claim_chosen(worker, chosen) end;
end $$;"""


def upgrade() -> None:
    for function in (IN_QUEUE, UNDER_LIMITS, AMONG):
        op.execute(function)
    for statement in BAD_ENDS:
        op.execute(statement.format("workflow_id, id, status"))


def downgrade() -> None:
    for statement in BAD_ENDS:
        op.execute(statement.format("workflow_id, id"))
    for name in CHANGED:
        _, _, after = BEFORE.read_text("utf-8").partition(f"create {name}")
        body, end, _ = after.partition("end $$;")
        op.execute(f"create or replace {name}{body}{end}")
