"""When a schedule is due next: of one that somebody thinks about, or of a trigger there is. Fires nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import orjson
from pydantic import ValidationError
from sqlalchemy import Connection

from millrace.app.triggers import repository as trigger_rows
from millrace.app.triggers.preview_bodies import PreviewBody
from millrace.app.triggers.repository import TriggerFilter
from millrace.app.workflows import repository as workflow_rows
from millrace.app.workflows.catalog import unknown_workflow
from millrace.core.durations import UNITS
from millrace.core.errors import Fault, InvalidRequest, NotFound
from millrace.core.values import EPOCH, Duration, Instant, to_iso
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.configs import SCHEDULES, CronConfig, ScheduleConfig
from millrace.triggers.due import ClockChange, Due, Times, clock_changes, due_at
from millrace.triggers.jitter import jitter_for
from millrace.triggers.zones import Zone

MOST_TRIGGERS = 1000

View: TypeAlias = Mapping[str, object]

AFTER_END = "later times are counted from the end of the run before, so they are not known yet"


@dataclass(frozen=True, slots=True)
class Found:
    """A trigger of a definition, and what is known of it if it is deployed."""

    type: str
    config: str
    trigger_id: str | None
    next_due_at: Instant | None


class Previews:
    """`timezone` is that of schedules that name none."""

    def __init__(self, database: Database, clock: Clock, timezone: str) -> None:
        self._database = database
        self._clock = clock
        self._timezone = timezone

    def of_schedule(self, body: PreviewBody) -> View:
        """Of a schedule that no trigger has yet; of what counts from the end of its last run, the first time."""
        return self._shown(body, None, body.from_, body.count)

    async def of_trigger(self, workflow: str, name: str, *, start: datetime | None, count: int) -> View:
        """Of the trigger with this id in its definition; before it is deployed, of that in the newest version.

        Raises `NotFound`, and `InvalidRequest` if the trigger has no schedule.
        """
        found = await self._database.read(lambda connection: _found(connection, workflow, name))
        kind = found.type
        if kind not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            fault = Fault("trigger", "value", f"{name} is of the type {kind}", f"name a trigger of the types {known}")
            raise InvalidRequest("no_schedule", "only a schedule says when it fires", faults=[fault])
        try:
            read = SCHEDULES[kind].model_validate(orjson.loads(found.config))
        except ValidationError:
            fault = Fault(
                "trigger", "value", f"the config of {name} is no schedule", "correct it and save the workflow"
            )
            raise InvalidRequest("no_schedule", "only a schedule says when it fires", faults=[fault]) from None
        return self._shown(read, found, start, count)

    def _shown(self, config: ScheduleConfig, found: Found | None, start: datetime | None, count: int) -> View:
        times = config.times(self._timezone)
        after = self._clock.now() if start is None else (start - EPOCH) // timedelta(microseconds=1)
        trigger_id = None if found is None else found.trigger_id
        due = _known_after_end(times, found, after) if isinstance(times, AfterEnd) else _following(times, after, count)
        jitter = config.jitter_length
        delay = 0 if jitter == 0 else None if trigger_id is None else jitter_for(trigger_id, jitter)
        return {
            "expression": config.text,
            "timezone": times.zone.name,
            "from": to_iso(after),
            "note": AFTER_END if isinstance(times, AfterEnd) and (due or trigger_id is not None) else None,
            "items": [_item(one, _note(one, config), delay, jitter) for one in due],
            "clock_changes": [
                {"at": to_iso(change.at), "before": change.before, "after": change.after}
                for change in _clock_changes(times.zone, due, after)
            ],
        }


def _following(times: Times, after: Instant, count: int) -> list[Due]:
    due: list[Due] = []
    following = times.next_after(after)
    while following is not None and len(due) < count:
        due.append(following)
        following = times.next_after(following.at)
    return due


def _known_after_end(times: AfterEnd, found: Found | None, after: Instant) -> list[Due]:
    """The one due time that is known, if any: before it is deployed that of its first run."""
    if found is None or found.trigger_id is None:
        first = times.first(after)
        return [] if first is None else [first]
    return [] if found.next_due_at is None or found.next_due_at <= after else [due_at(found.next_due_at, times.zone)]


def _clock_changes(zone: Zone, due: Sequence[Due], after: Instant) -> Sequence[ClockChange]:
    """Those that can have to do with what is shown, and not all that come before a first firing in many years."""
    return clock_changes(zone, max(after, due[0].at - UNITS["d"]), due[-1].at) if due else ()


def _item(due: Due, note: str | None, delay: Duration | None, jitter: Duration) -> View:
    return {
        "due_at": to_iso(due.at),
        "local": due.local,
        "offset": due.offset,
        "shift": due.shift,
        "note": note,
        "starts_at": None if delay is None else to_iso(due.at + delay),
        "starts_before": to_iso(due.at + jitter) if delay is None else None,
    }


def _note(due: Due, config: ScheduleConfig) -> str | None:
    if due.shift is None or not isinstance(config, CronConfig):
        return None
    if due.shift == "gap":
        return "clocks skip the time that is named; this is the first moment after the gap"
    if config.follows_the_clock:
        return "clocks show this time twice; it fires both times"
    return f"clocks show this time twice; it fires {_TIMES[config.dst.overlap]}"


_TIMES = {"first": "the first time only", "last": "the second time only", "both": "both times"}


def _found(connection: Connection, reference: str, name: str) -> Found:
    workflow = workflow_rows.find_workflow(connection, reference)
    if workflow is None:
        raise unknown_workflow(reference)
    narrow = TriggerFilter(workflow_id=workflow.id)
    for row in trigger_rows.list_triggers(connection, narrow, after=None, limit=MOST_TRIGGERS):
        if row["name"] == name:
            return Found(row["type"], row["config"], row["id"], row["next_due_at"])
    version = workflow_rows.version_by_number(connection, workflow.id, workflow.newest_version)
    for trigger in (orjson.loads(version.definition).get("triggers") or []) if version is not None else []:
        if trigger["id"] == name:
            return Found(str(trigger["type"]), orjson.dumps(trigger.get("config") or {}).decode(), None, None)
    raise NotFound("trigger_not_found", f"the workflow {workflow.name!r} has no trigger {name!r}")
