"""A family of runs as lines: first one of the kind `family`, then run by run the run and all that belongs to it.

What lies in the object store for its size stands in its line, for it goes with the run; of files there is only what is
known of them. The rows are read some at a time, each time in a snapshot of its own: whoever deletes them must compare
the family's stamp (`repository`).
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version

import orjson
from sqlalchemy.engine import RowMapping

from millrace.app.archive import repository
from millrace.app.archive.format import FORMAT, Line, line_of
from millrace.app.archive.repository import OF_A_RUN, Family, Rows, RunRows
from millrace.app.artifacts.views import artifact_view
from millrace.app.histories.views import data_of, log_view
from millrace.app.plans import StoredPlans
from millrace.app.runs.tasks.order import is_path, place_of
from millrace.app.runs.views import View, run_view, task_run_view, test_view
from millrace.app.test_runs.repository import terms_of
from millrace.auth.masked_documents import masked_document
from millrace.core.plan import Plan
from millrace.core.values import Instant, to_iso
from millrace.ports.database import Database
from millrace.ports.payloads import MARK, PayloadLost, Payloads, PutAway
from millrace.ports.plans import TEST, plan_id
from millrace.ports.secrets import Masker

TIMES = ("available_at", "deadline_at", "started_at", "finished_at")


class FamilyLines:
    def __init__(self, database: Database, payloads: Payloads, masker: Masker, plans: StoredPlans) -> None:
        self._database, self._payloads, self._masker, self._plans = database, payloads, masker, plans

    async def known(self, families: Sequence[Family]) -> Mapping[str, RunRows]:
        """The runs of these families with all of their rows: for `of`, where they are few."""
        run_ids = [run_id for family in families for run_id in family.runs]
        return await self._database.read(partial(repository.whole_runs, run_ids=run_ids))

    async def of(self, family: Family, known: Mapping[str, RunRows], now: Instant) -> AsyncIterator[bytes]:
        """Raises `ObjectStoreUnavailable` when a payload cannot be read now, `ObjectInaccessible` if it is that alone;
        of one that is lost it says so."""
        yield line_of(
            "family",
            {
                "format": FORMAT,
                "millrace": version("millrace"),
                "root": family.root,
                "runs": family.runs,
                "archived_at": to_iso(now),
            },
        )
        for run_id in family.runs:
            found = known or await self._database.read(partial(repository.run_with_first_rows, run_id=run_id))
            # One that is not there was deleted meanwhile, so the stamp of its family is another now.
            if run_id in found:
                async for line in self._of_run(found[run_id]):
                    yield line

    async def _of_run(self, found: RunRows) -> AsyncIterator[bytes]:
        run_id, given = found.run["id"], found.trigger_data
        plan = await self._plan(plan_id(found.run["trigger_type"], run_id, found.run["version_id"]))
        trigger_data = PutAway(given) if given[:1] == MARK else orjson.Fragment(given)
        test = await self._test(found.run)
        yield await self._line("run", {**run_view(found.run, (), found.told, test), "trigger_data": trigger_data})
        for rows, first in zip(OF_A_RUN, found.first, strict=True):
            some = first
            while some:
                for one in some:
                    yield await self._line(rows.kind, _view(rows, one, plan))
                if found.whole or len(some) < rows.at_once:
                    break
                read = partial(repository.rows_after, rows=rows, run_id=run_id, last=some[-1])
                some = await self._database.read(read)

    async def _test(self, run: RowMapping) -> View | None:
        """What a test run tests."""
        if run["trigger_type"] != TEST:
            return None
        terms = await self._database.read(partial(terms_of, run_id=run["id"]))
        return None if terms is None else test_view(terms)

    async def _plan(self, known_as: str) -> Plan | None:
        """It says where each task stands, for those who show them; of a version that is gone nobody knows."""
        try:
            return await self._plans.plan(known_as)
        except LookupError:
            return None

    async def _line(self, kind: str, view: Mapping[str, object]) -> bytes:
        content: Line = dict(view)
        lost = {}
        for name, value in view.items():
            if isinstance(value, PutAway):
                try:
                    content[name] = orjson.Fragment(await self._payloads.read(value.text))
                except PayloadLost as error:
                    content[name], lost[name] = None, str(error)
        # For good: when it is read, nobody may know any more what was a secret.
        return masked_document(line_of(kind, {**content, "lost": lost} if lost else content), self._masker)


def _view(rows: Rows, row: RowMapping, plan: Plan | None) -> Mapping[str, object]:
    match rows.kind:
        case "task_run":
            path = row["path"]
            if plan is None or not is_path(plan, path):
                return {**task_run_view(row), "place": None}
            listed = list(plan.tasks).index(plan.task_at(path).id)
            return {**task_run_view(row, place_of(plan, path), plan=plan), "place": listed}
        case "attempt":
            return _attempt_view(row)
        case "record":
            return _record_view(row)
        case "log":
            return {"run_id": row["run_id"], **log_view(row)}
        case _:
            return artifact_view(row)


def _record_view(row: RowMapping) -> Mapping[str, object]:
    """With users by their ids, as they are stored: a name is only what somebody is called now."""
    return {
        "run_id": row["run_id"],
        "seq": row["seq"],
        "type": row["type"],
        "path": row["path"],
        "at": to_iso(row["at"]),
        "data": None if row["data"] is None else data_of(row),
    }


def _attempt_view(row: RowMapping) -> Mapping[str, object]:
    return {
        "run_id": row["run_id"],
        "path": row["path"],
        "number": row["number"],
        "status": row["status"],
        "queue": row["queue"],
        "priority": row["priority"],
        "worker": row["incarnation_id"],
        "error": None if row["error"] is None else orjson.Fragment(row["error"]),
        **_times(row, TIMES),
    }


def _times(row: RowMapping, names: Iterable[str]) -> Mapping[str, object]:
    return {name: None if row[name] is None else to_iso(row[name]) for name in names}
