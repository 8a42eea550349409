"""Defects of control tasks that the simulation has found once: each as it was, to be planted again."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from millrace.app.events import waiting
from millrace.core.counting import _Counts
from millrace.core.plan import Plan
from millrace.core.run import Rounds, RunState
from millrace.engine import answering, changes
from millrace.engine.cell import Cell, Proposal
from millrace.engine.parking import ControlRows
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem, RunChange
from millrace.storage import mapping
from millrace.storage.mapping import Row
from millrace.triggers.event import Event

T = TypeVar("T")


def forgets_what_the_first_commit_brings(patch: pytest.MonkeyPatch) -> None:
    whole = mapping.control_rows

    def rows(change: RunChange) -> list[Row]:
        return whole(replace(change, new=None))

    patch.setattr(mapping, "control_rows", rows)


def forgets_what_a_while_came_to(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(changes, "_noted", lambda *_: [])


def takes_every_late_alarm_away(patch: pytest.MonkeyPatch) -> None:
    def stale_alarms(proposal: Proposal) -> list[str]:
        return [path for mail in proposal.mail if (path := mail.stale_alarm) is not None]

    patch.setattr(changes, "stale_alarms", stale_alarms)


def counts_iterations_as_failed_before_they_end(patch: pytest.MonkeyPatch) -> None:
    whole = _Counts.rounds

    def rounds(counts: _Counts, plan: Plan) -> dict[str, Rounds]:
        return {
            loop: replace(counted, failed=sum(scope in counts.failed for scope in counts.iterations[loop].values()))
            for loop, counted in whole(counts, plan).items()
        }

    patch.setattr(_Counts, "rounds", rounds)


def calls_two_facts_alike(patch: pytest.MonkeyPatch) -> None:
    whole = ControlRows.add_end

    def add_end(rows: ControlRows, cell: Cell, run: RunState, ids: Ids) -> None:
        told = len(rows.told)
        whole(rows, cell, run, ids)
        rows.told[told:] = [replace(item, id=run.id) for item in rows.told[told:]]

    patch.setattr(ControlRows, "add_end", add_end)


def tells_of_an_event_by_one_fact(patch: pytest.MonkeyPatch) -> None:
    whole = waiting._fact

    def fact(run_id: str, path: str, event: Event, ids: Ids) -> InboxItem:
        fact_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{event.id} {run_id} {path}")
        return replace(whole(run_id, path, event, ids), id=str(fact_id))

    patch.setattr(waiting, "_fact", fact)


def shows_what_was_known_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cell, "has_live", lambda *_: True)


def asks_the_store_once(patch: pytest.MonkeyPatch) -> None:
    async def once(ask: Callable[[], Awaitable[T]]) -> T:
        return await ask()

    patch.setattr(answering, "patiently", once)


DEFECTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], int]] = {
    "what control tasks take in a run's first commit is lost": (forgets_what_the_first_commit_brings, 0),
    "what a while came to is not written as it goes on": (forgets_what_a_while_came_to, 50),
    "a late alarm takes away the wish for a run": (takes_every_late_alarm_away, 70),
    "an iteration counts as failed before it is over": (counts_iterations_as_failed_before_they_end, 22),
    "two facts have the id of a run": (calls_two_facts_alike, 444),
    "an event that is routed twice is one fact": (tells_of_an_event_by_one_fact, 3023),
    "a task sees its run as it was": (shows_what_was_known_before, 88),
    "a store that is away is an expression without a value": (asks_the_store_once, 226),
}
"""Each with the seed from which on it is looked for: some are rare."""
