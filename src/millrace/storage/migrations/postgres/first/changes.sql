-- Whatever advances `runs.last_seq` is in the line of all changes, in the transaction of the change.
--
-- A position is the id of the transaction, and behind it the number of the change within: 65,535 at most. A reader goes
-- no further than the oldest transaction that is under way, so nothing can appear below a position that it has seen.
--
-- Another server, into which the database is restored, may be far behind with its transactions. So that positions grow
-- all the same, each is counted from a start, which is then moved beyond all that were ever given.

create sequence line_start minvalue 0 start 0;

create function first_position() returns bigint language plpgsql stable as $$
begin
  return (select last_value from line_start) + (pg_current_xact_id()::text::bigint << 16);
end $$;

create function first_unsettled() returns bigint language plpgsql stable as $$
begin
  return (select last_value from line_start) + (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16);
end $$;
comment on function first_unsettled is 'The first position below which something may still appear.';

-- The last one that this transaction has taken; others, which began later, may be beyond it already.
create function last_position() returns bigint language plpgsql volatile as $$
declare
  first bigint := first_position();
begin
  return (select coalesce(max(position), first) from changes where position > first and position < first + (1 << 16));
end $$;

-- Not all that was given may be in the line: what the other server wrote after the backup is unknown here. It wrote less
-- than this goes on by: four billion transactions.
create function renew_line() returns void language plpgsql as $$
begin
  perform setval('line_start',
    greatest((select last_value from line_start), (select max(position) from changes)) + (1::bigint << 48));
end $$;

-- Called at each start. A line without an end has none to follow it from: the first change would be missed. Where a
-- position lies beyond what this server can have given, by one look at both, it is from another.
create function continue_line() returns void language plpgsql as $$
begin
  if exists (
    select from changes where position >= (select last_value from line_start)
      + (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 16))
  then
    perform renew_line();
  end if;
  if not exists (select from changes) then
    insert into changes (position, run_id, first_seq, last_seq) values (first_position(), '', 1, 0);
  end if;
end $$;

create function note_new_runs() returns trigger language plpgsql as $$
declare
  last bigint := last_position();
begin
  insert into changes (position, run_id, first_seq, last_seq)
    select last + row_number() over (order by id), id, 1, last_seq from added where last_seq > 0;
  return null;
end $$;

create function note_changed_runs() returns trigger language plpgsql as $$
declare
  last bigint := last_position();
begin
  insert into changes (position, run_id, first_seq, last_seq)
    select last + row_number() over (order by n.id), n.id, o.last_seq + 1, n.last_seq
    from changed n join before o on o.id = n.id where n.last_seq > o.last_seq;
  return null;
end $$;

create trigger note_new_runs after insert on runs referencing new table as added
  for each statement execute function note_new_runs();

create trigger note_changed_runs after update on runs referencing old table as before new table as changed
  for each statement execute function note_changed_runs();
