"""What would happen if: which triggers an event is for, and which filter of each other one refuses it. Starts nothing.

One function for each kind of question. Answers come page by page: those that wait for the event's type first, found by
the index that the router uses, then the others, each of which says that it waits for another type.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.events.receiving import NewEvent
from millrace.app.routing import repository
from millrace.app.routing.repository import Known
from millrace.app.routing.router import Router, usable_config
from millrace.app.triggers.repository import TriggerRow
from millrace.app.workflows.catalog import Catalog, require_seen
from millrace.auth.sight import Sight
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import PLAIN_VALUES, Instant, InvalidValue, JsonObject, check_value
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.triggers.event import Event, Refused, keys_of, named, refusals

View: TypeAlias = Mapping[str, object]

THOUGHT_OF: Final = "simulated"
"""The id of an event that nobody stores."""

LOOKED_AT: Final = 2_000
"""Triggers for one page, where those that were shown before have to be passed over."""
AT_ONCE: Final = 200


class Simulation:
    def __init__(self, database: Database, router: Router, catalog: Catalog, clock: Clock) -> None:
        self._database = database
        self._router = router
        self._catalog = catalog
        self._clock = clock

    async def of_event(
        self, told: NewEvent, *, workflow: str | None, cursor: str | None, limit: int, sight: Sight | None = None
    ) -> Page[View]:
        """Triggers of the type event, each with what it makes of this one. Raises `NotFound` for the workflow, and
        `InvalidRequest` for data that cannot be stored.

        A page may hold fewer than `limit`, or none, and have a next one all the same.
        """
        event = _thought_of(told, self._clock.now())
        workflow_id = None if workflow is None else (await self._catalog.resolve(workflow)).workflow.id
        if workflow is not None and workflow_id is not None:
            await require_seen(self._database, workflow_id, sight, workflow)
        keys = keys_of(event.type)
        step, after = _place(cursor, len(keys))
        items: list[View] = []
        looked_at = 0
        while step <= len(keys):
            room = min(limit - len(items), AT_ONCE)
            if room == 0 or looked_at >= LOOKED_AT:
                return Page(items, encode_cursor(f"{step}:{after}"))
            key = keys[step] if step < len(keys) else None
            found = await self._known(key, after, room, workflow_id, sight)
            looked_at += len(found)
            mine = [known for known in found if _first_key(known.row, event) == key]
            items += [await self._item(known, event) for known in mine]
            step, after = (step, found[-1].row.id) if len(found) == room else (step + 1, "")
        return Page(items, None)

    async def _known(
        self, key: str | None, after: str, limit: int, workflow_id: str | None, sight: Sight | None
    ) -> Sequence[Known]:
        """The triggers under a key of the type, or with none all triggers that wait for events."""
        return await self._database.read(
            partial(repository.known_events, after=after, limit=limit, workflow_id=workflow_id, sight=sight)
            if key is None
            else partial(
                repository.known_under, key=key, after=after, limit=limit, workflow_id=workflow_id, sight=sight
            )
        )

    async def _item(self, known: Known, event: Event) -> View:
        row = known.row
        refused = [*_silence(known), *_filters(row, event)]
        trigger = named(row.name, event, self._clock.now())
        given: JsonObject | None = None
        error: str | None = None
        if row.version_id is not None and _first_key(row, event) is not None:
            judged = await self._router.judge(row, trigger)
            refused += () if judged.refused is None else (judged.refused,)
            given, error = judged.input, judged.error
        return {
            "trigger": {
                "id": row.id,
                "name": row.name,
                "type": row.type,
                "workflow": {"id": row.workflow_id, "name": row.workflow_name, "status": known.workflow_status},
            },
            "matches": not refused,
            "refused": [
                {"filter": one.filter, "wanted": one.wanted, "got": one.got, "message": one.message} for one in refused
            ],
            "input": None if refused else given,
            "error": error,
        }


def _thought_of(told: NewEvent, now: Instant) -> Event:
    for name, value in (("event.data", told.data), ("event.extensions", told.extensions)):
        try:
            check_value(value, path=name)
        except InvalidValue as error:
            fault = Fault(error.path, "value", error.reason, PLAIN_VALUES)
            raise InvalidRequest("invalid_event", "the event cannot be stored", faults=[fault]) from None
    return Event(
        id=THOUGHT_OF,
        type=told.type,
        source=told.source,
        subject=told.subject,
        data=told.data,
        at=now,
        occurred_at=told.time,
        external_id=told.id,
        extensions=told.extensions,
    )


def _first_key(row: TriggerRow, event: Event) -> str | None:
    """The key under which the trigger is looked at, of several; `None` if it waits for another type."""
    config = usable_config(row)
    return None if config is None else config.key_for(event.type)


def _filters(row: TriggerRow, event: Event) -> Sequence[Refused]:
    config = usable_config(row)
    if config is None:
        message = "its config is not one that this release takes; correct it and save the workflow"
        return (Refused("config", None, None, message),)
    return refusals(config, event)


def _silence(known: Known) -> Sequence[Refused]:
    """Why the trigger fires for nothing now."""
    found = []
    if not known.row.enabled:
        found.append(Refused("enabled", True, False, "the trigger is disabled"))
    if known.workflow_status != "active":
        message = f"the workflow is {known.workflow_status}, and must be active"
        found.append(Refused("workflow.status", "active", known.workflow_status, message))
    if known.deployed_version is None:
        found.append(Refused("workflow.deployed", True, False, "the workflow is not deployed"))
    return found


def _place(cursor: str | None, keys: int) -> tuple[int, str]:
    """At which key, and after which trigger under it, a page begins."""
    given = decode_text(cursor)
    if given is None:
        return 0, ""
    step, colon, after = given.partition(":")
    if not colon or not step.isascii() or not step.isdigit() or len(step) > 4 or int(step) > keys:
        fault = Fault("cursor", "invalid_cursor", "this is not a cursor of this question", "pass on `next_cursor`")
        raise InvalidRequest("invalid_cursor", "the cursor is not one that a page has given", faults=[fault])
    return int(step), after
