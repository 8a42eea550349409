"""The router: which triggers an event is for, and why others do not want it. It starts nothing.

    the keys of the event's type → triggers under them, by the index → source, subject → `if`

Cheap filters come before expressions, and what the index can tell before both: a trigger that waits for another type
is never looked at. An event may be for very many, so they come page by page.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from millrace.app.firing import names
from millrace.app.plans import StoredPlans
from millrace.app.routing import repository
from millrace.app.triggers.repository import TriggerRow
from millrace.core.values import Instant, JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.evaluator import Evaluator, ExpressionError
from millrace.triggers.event import Event, EventConfig, Refused, keys_of, named, read_config, refusals

PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Match:
    """A trigger that an event is for."""

    row: TriggerRow
    trigger: JsonObject
    """The name `trigger` of its expressions, and of its run."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a trigger's expressions say about an event."""

    refused: Refused | None = None
    input: JsonObject | None = None
    """What the run would be given."""
    error: str | None = None
    """They have no value, so its firing fails."""


class Router:
    def __init__(self, database: Database, plans: StoredPlans, evaluator: Evaluator, clock: Clock) -> None:
        self._database = database
        self._plans = plans
        self._evaluator = evaluator
        self._clock = clock

    async def match(self, event: Event) -> Sequence[Match]:
        """All active triggers that the event is for, those with a faulty `if` included: their firing says so."""
        found = []
        async for page in self.waiting(event):
            found += [match for match in page if (await self.judge(match.row, match.trigger)).refused is None]
        return found

    async def waiting(self, event: Event) -> AsyncIterator[Sequence[Match]]:
        """Active triggers that wait for such an event by type, source and subject, each once. Their `if` is not asked:
        whoever fires them evaluates it."""
        now, keys = self._clock.now(), keys_of(event.type)
        found = await repository.first_waiting(self._database, keys, PAGE + 1)
        if len(found) <= PAGE:
            yield _wanting(found, event, now)
            return
        for key in keys:
            after = ""
            while found := await repository.waiting_under(self._database, key, after, PAGE):
                after = found[-1][1].id
                yield _wanting(found, event, now)

    async def again(self, match: Match, event: Event) -> Match | None:
        """The trigger as it is by now; `None` if the event is not for it any more."""
        row = await repository.active(self._database, match.row.id)
        config = None if row is None else usable_config(row)
        if row is None or config is None or refusals(config, event):
            return None
        return Match(row, named(row.name, event, self._clock.now()))

    async def judge(self, row: TriggerRow, trigger: JsonObject) -> Judged:
        """Evaluate `if`, and `input` if that holds."""
        try:
            version = await self._plans.version(row.version_id or "")
            filled = await names.fill(row, trigger, version.definition.variables, self._evaluator)
        except (ExpressionError, LookupError) as error:
            return Judged(error=str(error))
        if not filled.wanted:
            return Judged(refused=Refused("if", True, False, f"its `if` is false: {row.condition}"))
        return Judged(input=filled.input)


def _wanting(found: Sequence[tuple[str, TriggerRow]], event: Event, now: Instant) -> Sequence[Match]:
    """Those whose filters the event passes. One that is under several of the keys counts under the first of them."""
    wanting = []
    for key, row in found:
        config = usable_config(row)
        if config is not None and config.key_for(event.type) == key and not refusals(config, event):
            wanting.append(Match(row, named(row.name, event, now)))
    return wanting


def usable_config(row: TriggerRow) -> EventConfig | None:
    """`None` for what an earlier release stored unchecked; such a trigger waits for nothing."""
    try:
        return read_config(row.config)
    except ValidationError:
        return None
