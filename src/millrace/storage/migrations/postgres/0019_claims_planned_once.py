"""A claim of a few attempts takes the plans that are there, instead of making one for its values each time.

To plan took longer than to carry out: it was two fifths of the time of a claim, and the more the more indexes and rows
there are. The plans are the same whatever the values: each step goes along one index. Only where many are claimed at
once the number of them decides how they are best put together.
"""

from pathlib import Path

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

BEFORE = Path(__file__).with_name("first") / "claims.sql"

CLAIM = """
create or replace function claim_attempts(worker text, queues text[], most int, type_limits json)
returns json language plpgsql as $$
declare
  every boolean := '*' = any(queues);
  served text[] := case when every then waiting_queues() else queues end;
  planning text := current_setting('plan_cache_mode');
  candidates waiting[];
  free text[];
  claimed json;
begin
  perform require_live(array[worker]);
  perform set_config('plan_cache_mode', 'force_generic_plan', true);
  candidates := waiting_attempts(served, most)
    || waiting_under_limits(case when not every then queues end, most, type_limits);
  if cardinality(candidates) > 32 then
    perform set_config('plan_cache_mode', planning, true);
  end if;
  if cardinality(candidates) > 0 then
    select array_agg(id) into free from (
      select id from runs where id in (select c.run_id from unnest(candidates) c) order by id for update skip locked) r;
    if free is null then
      select array_agg(id) into free from (
        select id from runs where id in (select c.run_id from unnest(candidates) c) order by id for update) r;
    end if;
    claimed := claim_among(worker, candidates, free, most, type_limits);
  end if;
  perform set_config('plan_cache_mode', planning, true);
  return claimed;
end $$;"""


def upgrade() -> None:
    op.execute(CLAIM)


def downgrade() -> None:
    _, _, after = BEFORE.read_text("utf-8").partition("create function claim_attempts")
    body, end, _ = after.partition("end $$;")
    op.execute(f"create or replace function claim_attempts{body}{end}")
