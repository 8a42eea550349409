"""Where control tasks of a run go on that repeats another: told when it is made.

A process of the release before starts runs without it. Besides, nothing is told any more to a run that was to be
started and was refused: nobody would ever take such a fact from the inbox.
"""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FIRST = Path(__file__).with_name("first") / "commit.sql"

PARENT = (
    (" root_run_id, parent_run_id, retry_of", " root_run_id, parent_run_id, parent_path, retry_of"),
    (" run.parent_run_id, run.retry_of", " run.parent_run_id, run.parent_path, run.retry_of"),
)
"""What starts of runs write since the eighth migration."""

AHEAD = (
    ("        finished_at)\n", "        finished_at, ahead)\n"),
    ("run.finished_at)\n", "run.finished_at, run.ahead)\n"),
)
"""And since this one."""


NOT_OVER = """
      and not exists (select from runs r where r.id = i.run_id and r.finished_at is not null)"""
LIVE_OR_WANTED = """
      and (exists (select from runs r where r.id = i.run_id and r.finished_at is null)
        or exists (select from waits w where w.wanted and w.child_run_id = i.run_id))"""
"""Whom facts were left for before, and whom they are left for now."""


def upgrade() -> None:
    op.execute("alter table runs add column ahead text")
    op.execute(_starts(*PARENT, *AHEAD))
    _tell(NOT_OVER, LIVE_OR_WANTED)


def downgrade() -> None:
    _tell(LIVE_OR_WANTED, NOT_OVER)
    op.execute(_starts(*PARENT))
    op.execute("alter table runs drop column ahead")


def _starts(*changes: tuple[str, str]) -> str:
    """The function as the first migration made it, but for these changes."""
    _, _, after = FIRST.read_text("utf-8").partition("create function start_runs")
    body, end, _ = after.partition("end $$;")
    for before, now in changes:
        assert body.count(before) == 1, "the function is as the first migration made it"  # noqa: S101
        body = body.replace(before, now)
    return f"create or replace function start_runs{body}{end}"


def _tell(before: str, now: str) -> None:
    """Have `write_controls`, which is otherwise as it was, leave facts for these runs."""
    op.execute(f"""
do $migration$
declare
  written text := pg_get_functiondef('write_controls'::regproc);
begin
  if position($part${before}$part$ in written) = 0 then
    raise exception 'write_controls is not as the eighth migration made it';
  end if;
  execute replace(written, $part${before}$part$, $part${now}$part$);
end $migration$""")
