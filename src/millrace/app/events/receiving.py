"""Events from outside: stored once for each id that their source gives them, and routed afterwards.

What is answered as accepted is durable, and tasks that wait for it have been told (storing). Nothing is started here:
the router finds every event that a trigger may be for, also when this process dies in the next moment.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy import Connection

from millrace.app.events import repository
from millrace.app.events.publishing import LARGEST_DATA
from millrace.app.events.queries import event_view
from millrace.app.events.repository import EventRow
from millrace.app.events.storing import EventStorage, Stored, together
from millrace.app.runs.keys import other_request
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import PLAIN_VALUES, Instant, InvalidValue, JsonObject, JsonValue, check_value
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.events import OWN_TYPES
from millrace.ports.ids import Ids

MOST_AT_ONCE: Final = 500
TOLD: Final = ("type", "subject", "data", "occurred_at", "attributes")
"""What another event would differ in."""
LARGEST_EXTENSIONS: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as somebody outside tells it; each text is one line of at most 255 characters."""

    type: str
    source: str
    subject: str | None = None
    data: JsonValue = None
    id: str | None = None
    """The same source and id again is the same event, however often it is told."""
    time: Instant | None = None
    extensions: JsonObject = field(default_factory=dict)
    id_is_key: bool = False
    """The id is the idempotency key of the request, which means this very event and no other."""


@dataclass(frozen=True, slots=True)
class Received:
    event: JsonObject
    """As it is shown; of an event that was told before, as it was told then."""
    repeated: bool


class EventIntake:
    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._storage = EventStorage(ids)
        self.after_publish: Callable[[Stored], None] = _nobody
        """Told after each commit; the composition root has it act on what was stored."""

    async def publish(self, told: Sequence[NewEvent], *, batch: bool = False) -> Sequence[Received]:
        """Store the events, all or none of them. Raises `InvalidRequest` with a fault for each thing that is wrong, and
        `Conflict` for an idempotency key that has published another event.

        `batch` says how faults name the places: `[2].data`, or `data` for the one event there is.
        """
        if len(told) > MOST_AT_ONCE:
            fault = Fault("", "too_long", f"{len(told)} events are too many for one request", _in_parts())
            raise InvalidRequest("invalid_event", "the events cannot be stored", faults=[fault])
        faults = [fault for place, one in enumerate(told) for fault in _faults(one, f"[{place}]." if batch else "")]
        if faults:
            raise InvalidRequest("invalid_event", "the event cannot be stored", faults=faults)
        received = await self._database.write(lambda connection: [self._store(connection, one) for one in told])
        self.after_publish(together(stored for _, stored in received))
        return [one for one, _ in received]

    def _store(self, connection: Connection, told: NewEvent) -> tuple[Received, Stored]:
        before = None if told.id is None else repository.told_before(connection, told.source, told.id)
        row = EventRow(
            id=self._ids.new(),
            type=told.type,
            source=told.source,
            subject=told.subject,
            data=None if told.data is None else orjson.dumps(told.data, option=orjson.OPT_SORT_KEYS).decode(),
            at=self._clock.now(),
            external_id=told.id,
            occurred_at=told.time,
            attributes=orjson.dumps(told.extensions).decode() if told.extensions else None,
        )
        if before is not None:
            if told.id_is_key and any(before[name] != getattr(row, name) for name in TOLD):
                raise other_request(f", which published event {before['id']}")
            return Received(event_view(before), repeated=True), Stored()
        stored = self._storage.store(connection, row)
        published = fields(row, "type", "source", "subject", "external_id")
        note(connection, Action.EVENT_PUBLISH, row.id, row.type, after=published)
        return Received(event_view(row.columns()), repeated=False), stored


def _faults(told: NewEvent, base: str) -> list[Fault]:
    found = []
    if told.type.startswith(OWN_TYPES):
        message = f"types that begin with {OWN_TYPES} are Millrace's own"
        found.append(Fault(f"{base}type", "value", message, "choose another, such as orders.imported"))
    if told.id is not None and told.id.startswith(OWN_ID):
        message = f"ids that begin with {OWN_ID} are Millrace's own"
        found.append(Fault(f"{base}id", "value", message, "choose another"))
    for name, value, most in (("data", told.data, LARGEST_DATA), ("extensions", told.extensions, LARGEST_EXTENSIONS)):
        try:
            check_value(value, path=f"{base}{name}")
        except InvalidValue as error:
            found.append(Fault(error.path, "value", error.reason, PLAIN_VALUES))
            continue
        size = len(orjson.dumps(value))
        if size > most:
            message = f"{size} bytes of JSON are too many for an event, which takes {most}"
            found.append(Fault(f"{base}{name}", "too_large", message, "store them elsewhere and name the place"))
    return found


OWN_ID: Final = "millrace:"
"""Ids that begin so are of events that Millrace makes: nobody else can tell of the end of a run before it."""


def _in_parts() -> str:
    return f"send at most {MOST_AT_ONCE} at a time"


def _nobody(_stored: Stored) -> None:
    return None
