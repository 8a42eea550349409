-- The one clock: microseconds since the Unix epoch, the same throughout a statement.

create function now_us() returns bigint language sql stable parallel safe as $$
  select (extract(epoch from statement_timestamp()) * 1000000)::bigint
$$;
