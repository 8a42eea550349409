-- Whatever advances `runs.last_seq` is in the line of all changes, in the transaction of the change.
--
-- A position is the id of the transaction, and behind it the number of the change within: 65,535 at most. A reader goes
-- no further than the oldest transaction that is under way, so nothing can appear below a position that it has seen.

create function first_position() returns bigint language sql stable as $$
  select pg_current_xact_id()::text::bigint << 16
$$;

-- The last one that this transaction has taken; others, which began later, may be beyond it already.
create function last_position() returns bigint language sql volatile as $$
  select coalesce(max(position), first_position()) from changes
    where position > first_position() and position < first_position() + (1 << 16)
$$;

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
