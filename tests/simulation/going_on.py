"""What must hold of runs that repeat others: what was decided in the earlier run holds, and is not decided again.

Asked of the rows and of the histories: where a run goes on is told in its row, and what became of it in all others.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millrace.core.controls import ForEach, Wait

if TYPE_CHECKING:
    from tests.simulation.world import World

THAT_GO_ON = "select id, retry_of, ahead from runs where ahead is not null"
BEGUN = """
select block, size, output, child_run_id from task_runs
where run_id = ? and path = ? and (block is not null or child_run_id is not null)"""
OUTPUT = "select output from task_runs where run_id = ? and path = ?"
REPEATS = "select retry_of from runs where id = ?"
CHILDREN = """
select c.id, c.parent_path, c.retry_of, p.ahead from runs c join runs p on p.id = c.parent_run_id
where c.parent_path is not null and c.retry_of is not null"""


class GoingOn:
    def __init__(self, raw: sqlite3.Connection, world: "World") -> None:
        self._raw = raw
        self._world = world

    def faults(self) -> Iterator[str]:
        for run_id, retry_of, ahead in self._raw.execute(THAT_GO_ON).fetchall():
            if retry_of is None:
                yield f"run {run_id} goes on, and repeats none"
            for path, told in json.loads(ahead).items():
                for fault in self._faults_of_task(run_id, path, *told):
                    yield f"{path} of run {run_id} goes on, and {fault}"
        for run_id, path, retry_of, ahead in self._raw.execute(CHILDREN).fetchall():
            if json.loads(ahead or "{}").get(path, [None] * 3)[2] != retry_of:
                yield f"run {run_id} repeats {retry_of}, which its parent does not go on with"

    def _faults_of_task(
        self, run_id: str, path: str, block: str | None, size: int | None, child: str | None, origin: str | None
    ) -> Iterator[str]:
        own = self._world.plan_of(run_id).task_at(path)
        was_over = isinstance(own.control, Wait) and block is not None
        story: Mapping[str, Any] = self._world.stories[run_id].tasks
        if was_over and path in story and "task.waiting" in story[path].once:
            yield "waits for what has come"
        row = self._raw.execute(BEGUN, (run_id, path)).fetchone()
        if row is None:
            return
        if block not in (None, row[0]):
            yield f"{row[0]} runs in place of {block}"
        if isinstance(own.control, ForEach) and row[1] != size:
            yield f"it has {row[1]} items in place of {size}"
        if was_over and self._whole(row[2]) != self._whole(self._raw.execute(OUTPUT, (origin, path)).fetchone()[0]):
            yield f"its output is {row[2]}, which is not that of {origin}"
        repeats = self._raw.execute(REPEATS, (row[3],)).fetchone()
        if child is not None and repeats not in (None, (child,)):
            yield f"its run repeats {repeats[0]} in place of {child}"

    def _whole(self, text: str | None) -> bytes:
        """The JSON, also of a value that does not lie in its row."""
        return b"" if text is None else self._world.shelf.content_of(text)
