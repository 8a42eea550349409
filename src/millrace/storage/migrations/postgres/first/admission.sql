-- Admission: which waiting runs may start, by (priority, age), and what becomes of those in their way.
--
-- Occupancy is counted from live rows; whoever counts holds the key's row in `limits`. A rate limit is kept as the
-- theoretical arrival time of its next run (GCRA).

create function lock_limits(keys text[]) returns void language plpgsql as $$
begin
  if cardinality(keys) = 0 then
    return;
  end if;
  insert into limits (key) select k from unnest(keys) as k order by k on conflict (key) do nothing;
  perform from limits where key = any(keys) order by key for update;
end $$;

create function occupied(key text) returns bigint language sql stable as $$
  select count(*) from runs r
  where r.admission_key = key and r.admission_key is not null and r.admitted_at is not null and r.finished_at is null
$$;

create function queued(key text) returns bigint language sql stable as $$
  select count(*) from runs r
  where r.admission_key = key and r.admission_key is not null and r.admitted_at is null and r.finished_at is null
    and r.status = 'pending' and (r.run_at is null or r.run_at <= now_us()) and r.rate_key is null
$$;

create function live_runs(key text) returns bigint language sql stable as $$
  select occupied(key) + queued(key)
$$;
