-- Which rows of runs, task runs and attempts there can be, for their CHECKs: the words of `core.states`, and finished
-- exactly when there is a time of it.
--
-- PostgreSQL parses the text of a CHECK anew for each statement that writes to its table: the shorter the better. In
-- PL/pgSQL, for a function in SQL would be put in its place again, at the same cost.

create function is_possible_run(status varchar, phase varchar, outcome varchar, finished_at bigint)
returns boolean language plpgsql immutable as $$
begin
  return status in ('pending', 'running', 'waiting', 'paused', 'cancelling', 'completed', 'failed', 'cancelled')
    and phase in ('main', 'on_failure', 'rollback', 'finally')
    and (outcome is null or outcome in ('completed', 'failed', 'cancelled'))
    and (finished_at is not null) = (status in ('completed', 'failed', 'cancelled'));
end $$;

create function is_possible_task_run(status varchar, finished_at bigint)
returns boolean language plpgsql immutable as $$
begin
  return status in (
      'pending', 'ready', 'running', 'waiting', 'cancelling', 'completed', 'failed', 'skipped', 'cancelled')
    and (finished_at is not null) = (status in ('completed', 'failed', 'skipped', 'cancelled'));
end $$;

create function is_possible_attempt(status varchar, finished_at bigint)
returns boolean language plpgsql immutable as $$
begin
  return status in ('scheduled', 'running', 'completed', 'failed', 'cancelled', 'lost')
    and (finished_at is not null) = (status in ('completed', 'failed', 'cancelled', 'lost'));
end $$;
