"""The order of changes across all runs, for those who follow more than one.

A run numbers its own records; `changes` puts the runs' changes in one line: each has a position, in the order of the
commits, and names the records that came with it. Commits are serial on SQLite, so nothing can ever appear below a
position that a reader has seen; on PostgreSQL a reader stops before what may be under way (see its `changes.sql`). The
row is written by a trigger, in the transaction of the change: whatever advances `runs.last_seq` is in the line, and no
statement can forget it. Old rows are deleted; the newest is always kept, since the next position follows from it.
"""

from sqlalchemy import DDL, BigInteger, Column, Integer, Table, Text, event

from millrace.storage.tables.base import instant, metadata, short

changes = Table(
    "changes",
    metadata,
    # On SQLite the number of the row itself, which only this name of the type makes it.
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("run_id", short(36), nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
)

followers = Table(
    "followers",
    metadata,
    Column("name", short(64), primary_key=True),
    Column("position", Text, nullable=False),
    instant("moved_at", nullable=False),
    sqlite_with_rowid=False,
)
"""How far along the line those have come who act on what they read there."""

NOTE_NEW_RUN = """
create trigger note_new_run after insert on runs when new.last_seq > 0 begin
  insert into changes (run_id, first_seq, last_seq) values (new.id, 1, new.last_seq);
end"""

NOTE_CHANGED_RUN = """
create trigger note_changed_run after update of last_seq on runs when new.last_seq > old.last_seq begin
  insert into changes (run_id, first_seq, last_seq) values (new.id, old.last_seq + 1, new.last_seq);
end"""

for _statement in (NOTE_NEW_RUN, NOTE_CHANGED_RUN):
    event.listen(metadata, "after_create", DDL(_statement).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]
