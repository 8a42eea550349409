"""A start is refused that was decided on what its workflow was before another process changed it."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BEFORE = Path(__file__).with_name("first") / "commit.sql"
NAME = "function refusal_of"

# As before, but for `workflow_updated_at`. A process of the release before gives none, and is answered as before.
REFUSAL = """
create or replace function refusal_of(start json, run runs) returns json language plpgsql as $$
declare
  wanted start_keys := json_populate_record(null::start_keys, start -> 'key');
  holder start_keys;
  origin json;
  kept boolean;
  changed boolean := false;
  known bigint;
begin
  if start -> 'workflow_updated_at' is not null then
    known := (start ->> 'workflow_updated_at')::bigint;
    if run.run_at is null then
      changed := not exists (
        select from workflows w where w.id = run.workflow_id and w.deleted_at is null and w.updated_at = known);
    else
      -- Whoever ends the starts of a workflow also ends its delayed runs, all that there are: this one must be there
      -- before, or not be started.
      perform from workflows w where w.id = run.workflow_id and w.deleted_at is null and w.updated_at = known for share;
      changed := not found;
    end if;
  end if;
  if not changed and start -> 'key' is null and start -> 'firing' is null and start -> 'origins' is null
    and start -> 'skip' is null
  then
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
  if changed then
    return json_build_array(run.id, 'workflow_changed');
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
end $$;"""


def upgrade() -> None:
    op.execute(REFUSAL)


def downgrade() -> None:
    _, _, after = BEFORE.read_text("utf-8").partition(f"create {NAME}")
    body, end, _ = after.partition("end $$;")
    op.execute(f"create or replace {NAME}{body}{end}")
