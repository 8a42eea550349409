-- Histories and logs lie in partitions by the month in which their run was made: all rows of a run in one, since its id
-- begins with the time. A month that is over is deleted as a whole once nothing is left in it.
--
-- Months are made ahead. What is of no month that there is goes to the `_other` partition and stays there: it is found
-- and deleted like everything else, one month is only less quickly gone.

create table records_other partition of records default;
create table logs_other partition of logs default;

create function first_id(at timestamp) returns text language sql immutable as $$
  select substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-7000-8000-000000000000'
  from lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') as hex
$$;
comment on function first_id is 'The lowest UUIDv7 of a time in UTC.';

create function this_month() returns timestamp language sql stable as $$
  select date_trunc('month', to_timestamp(now_us() / 1000000) at time zone 'UTC')
$$;

-- The partition is made beside the table and then joined to it, which commits need not wait for, as they would for
-- `create table … partition of`.
create function make_partition(parent text, month timestamp, most_moved integer) returns boolean language plpgsql as $$
declare
  part text := parent || to_char(month, '_YYYY_MM');
  other text := parent || '_other';
  low text := first_id(month);
  high text := first_id(month + interval '1 month');
  astray bigint;
begin
  if to_regclass(part) is not null then
    return false;
  end if;
  execute format('lock table %I in access exclusive mode', other);
  -- Somebody may have made it just before: what is known of that is as old as the statement, until a lock is taken.
  if to_regclass(part) is not null then
    return false;
  end if;
  execute format('select count(*) from (select from %I where run_id >= %L and run_id < %L limit %s) as found',
    other, low, high, most_moved + 1) into astray;
  if astray > most_moved then
    return false;
  end if;
  execute format('create table %I (like %I including all)', part, parent);
  if astray > 0 then
    execute format('with moved as (delete from %I where run_id >= %L and run_id < %L returning *) '
      'insert into %I select * from moved', other, low, high, part);
  end if;
  execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, part, low, high);
  return true;
end $$;

create function drop_partition(parent text, part text) returns boolean language plpgsql as $$
declare
  used boolean;
begin
  execute format('select exists (select from %I)', part) into used;
  if used then
    return false;
  end if;
  execute format('lock table %I in access exclusive mode', parent);
  execute format('select exists (select from %I)', part) into used;
  if not used then
    execute format('drop table %I', part);
  end if;
  return not used;
end $$;

-- Makes the partitions of this month and the next ones, and drops those of past months in which nothing is left; answers
-- the names of the months that were made and dropped. Anybody may call it at any time: one does it, and nobody waits long
-- for it. Rows that are in the `_other` partition already move to their month, if they are few.
create function keep_partitions(ahead integer, most_moved integer default 10000) returns jsonb language plpgsql as $$
declare
  parent text;
  part text;
  month timestamp;
  made text[] := '{}';
  dropped text[] := '{}';
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a snapshot from before would not show what is in a partition by now';
  end if;
  if not pg_try_advisory_xact_lock(x'6d6f6e74'::bigint) then
    return null;
  end if;
  -- Who waits for a lock keeps all others waiting that come after; at the next call there may be nothing to wait for.
  perform set_config('lock_timeout', '500ms', true);
  foreach parent in array array['records', 'logs'] loop
    for number in 0..ahead loop
      month := this_month() + number * interval '1 month';
      if make_partition(parent, month, most_moved) then
        made := made || (parent || to_char(month, '_YYYY_MM'));
      end if;
    end loop;
    -- Not the last month: the clocks of those who make ids may be behind.
    for part in
      select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = to_regclass(parent) and c.relname ~ '_[0-9]{4}_[0-9]{2}$'
        and c.relname < parent || to_char(this_month() - interval '1 month', '_YYYY_MM')
      order by c.relname
    loop
      if drop_partition(parent, part) then
        dropped := dropped || part;
      end if;
    end loop;
  end loop;
  return jsonb_build_object('made', made, 'dropped', dropped);
end $$;

select keep_partitions(2);
