"""Deciding what a task waits for. A decision is a row in the run's inbox, and there is room for one.

The first that is noted counts; whoever comes later is told that the task waits no more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson
from sqlalchemy import Connection

from millrace.app.decisions import repository
from millrace.app.decisions.queries import ApprovalQueries
from millrace.app.decisions.repository import Look, Wait
from millrace.app.runs import repository as run_rows
from millrace.app.runs.keys import CallerKeys, KeySpace, fingerprint, other_request
from millrace.app.runs.telling import check_told
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.core.controls import APPROVAL
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.core.states import TaskStatus
from millrace.core.values import Instant, JsonObject
from millrace.definition import validate_form
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.payloads import MARK
from millrace.ports.store import InboxItem, StartKey

LONGEST_COMMENT: Final = 2_000

Posted = Callable[[Sequence[InboxItem]], None]
"""Told of what has been put into the inbox."""


@dataclass(frozen=True, slots=True)
class Decision:
    approved: bool
    comment: str | None = None
    form: JsonObject | None = None
    """What was filled in. Who rejects need not fill in anything."""

    def fingerprint(self, path: str) -> str:
        return fingerprint(("decision", path, self.approved, self.comment, self.form))


class Decisions:
    def __init__(
        self, database: Database, queries: ApprovalQueries, keys: CallerKeys, clock: Clock, posted: Posted
    ) -> None:
        self._database = database
        self._queries = queries
        self._keys = keys
        self._clock = clock
        self._posted = posted

    async def decide(self, run_id: str, path: str, decision: Decision, *, by: str, key: str | None = None) -> None:
        """Approve or reject. Durable when this returns.

        Raises `NotFound`; `Conflict` `not_waiting` if the task waits for no decision, or for none any more, and
        `InvalidRequest` if what was filled in does not fit. `key` is a caller's: for a while a second request with it
        changes nothing, and raises `Conflict` (`idempotency_conflict`) if it asks for something else.
        """
        check_told("form", decision.form)
        given = self._keys.key(KeySpace.CONTROL, run_id, key, lambda: decision.fingerprint(path))
        if given is not None and await self._database.read(lambda connection: _is_used(connection, given)):
            return
        look = await self._queries.look(run_id, path)
        if look.wait is None or look.is_decided:
            raise not_waiting(run_id, path, look)
        await self.decide_wait(look.wait, decision, by=by, key=given)

    async def decide_wait(self, wait: Wait, decision: Decision, *, by: str, key: StartKey | None = None) -> None:
        """As `decide`, for a wait that was seen a moment ago. Another wait of the same task is not decided."""
        check_told("form", decision.form)
        decision = replace(decision, form=_fitting(wait, decision))
        item = InboxItem(wait.decision_id, wait.run_id, "decision", _told(wait, decision, by))
        now = self._clock.now()
        if await self._database.write(lambda connection: _post_once(connection, wait, item, key, now)):
            self._posted([item])


def _told(wait: Wait, decision: Decision, by: str) -> JsonObject:
    return {
        "path": wait.path,
        "approved": decision.approved,
        "by": by,
        "comment": decision.comment,
        "form": decision.form,
    }


def _fitting(wait: Wait, decision: Decision) -> JsonObject | None:
    """The form with its defaults. Raises `InvalidRequest`."""
    if wait.form is None:
        if decision.form:
            fault = Fault("form", "unknown_field", "the task asks for no form", "leave it out, or write a comment")
            raise InvalidRequest("invalid_input", "the form does not fit what the task asks for", faults=[fault])
        return None
    if decision.form is None and not decision.approved:
        return None
    return validate_form(wait.form, decision.form or {})


def _is_used(connection: Connection, key: StartKey) -> bool:
    """Whether the key was used for this very request. Raises `Conflict` if it was used for another."""
    held = run_rows.started_with(connection, namespace=key.namespace, scope=key.scope, key=key.key)
    if held is not None and held[0] != key.request_hash:
        raise other_request()
    return held is not None


def _post_once(connection: Connection, wait: Wait, item: InboxItem, key: StartKey | None, now: Instant) -> bool:
    """Put the decision into the inbox; false if the key has done so before."""
    if key is not None:
        if _is_used(connection, key):
            return False
        run_rows.take_key(connection, key, item.id, now)
    look = repository.look(connection, wait.run_id, wait.path)
    if look is None or look.is_decided or look.wait is None or look.wait.since != wait.since:
        raise not_waiting(wait.run_id, wait.path, look)
    run_rows.post(connection, [item])
    told = {name: item.data[name] for name in ("approved", "comment", "form", "by")}
    note(connection, Action.APPROVAL_DECIDE, wait.run_id, wait.path, after={"task": wait.path, **told})
    return True


# --- what the task does instead ---------------------------------------------------------------------------------------

WAITS = {
    "sleep": "it waits for a time",
    "event": "it waits for an event",
    "signal": "it waits for a signal",
    "child": "it waits for the end of another run",
}


def not_waiting(run_id: str, path: str, look: Look | None) -> Conflict:
    doing = "its run is gone" if look is None else doing_now(look)
    return Conflict("not_waiting", f"the task {path!r} of run {run_id} waits for no decision: {doing}")


def doing_now(look: Look) -> str:
    if look.is_decided:
        return "it was decided a moment ago"
    if look.status == TaskStatus.WAITING:
        return WAITS.get(look.waits_for or "", "it waits for something else")
    if was_decided(look):
        return f"it was decided before, and is {look.status}"
    return f"it is {look.status}"


def was_decided(look: Look) -> bool:
    """Whether somebody has decided it, and not only its time was over."""
    if look.type != APPROVAL or look.output is None:
        return look.is_decided
    if look.output[:1] == MARK:
        return True
    output = orjson.loads(look.output)
    return isinstance(output, dict) and "approved" in output and not output.get("timed_out")
