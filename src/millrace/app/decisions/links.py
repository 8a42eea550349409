"""Links by which somebody without an account decides once: signed, so that nothing need be kept of them.

A link names the run, the task, the very wait (since when it is there) and who made it, and holds for a time. It is
worth what its maker may do: if he may not decide any more, neither may who has the link. Whoever tries a link that is
not ours learns nothing; what a true one is worth no more for is told.
"""

from dataclasses import dataclass, replace
from typing import Final, NoReturn

import orjson
from sqlalchemy import Connection

from millrace.app.decisions.deciding import Decision, Decisions, doing_now, not_waiting, was_decided
from millrace.app.decisions.queries import ApprovalQueries
from millrace.app.decisions.repository import Look, Wait
from millrace.app.histories.views import BY_LINK
from millrace.app.runs import repository as run_rows
from millrace.auth import repository as users
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.grants import repository as grants
from millrace.auth.permissions import Access, Grant, Permission, Role, everywhere
from millrace.auth.principal import Principal
from millrace.auth.repository import UserRow
from millrace.auth.sight import grants_with
from millrace.auth.vault.vault import Vault
from millrace.core.durations import UNITS
from millrace.core.errors import Conflict, Fault, Gone, InvalidRequest, NotFound
from millrace.core.values import Duration, Instant, to_iso
from millrace.ports.clock import Clock
from millrace.ports.database import Database

PURPOSE: Final = "approval link"
USUAL_LIFETIME: Final[Duration] = 7 * UNITS["d"]
LONGEST_LIFETIME: Final[Duration] = 30 * UNITS["d"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a link says."""

    run_id: str
    path: str
    since: Instant
    expires_at: Instant
    made_by: str
    approved: bool | None = None
    """What alone can be decided by it; `None` leaves the choice."""

    def packed(self) -> bytes:
        return orjson.dumps([self.run_id, self.path, self.since, self.expires_at, self.made_by, self.approved])

    @classmethod
    def unpacked(cls, content: bytes) -> "Claims":
        return cls(*orjson.loads(content))


@dataclass(frozen=True, slots=True)
class Link:
    token: str
    expires_at: Instant


@dataclass(frozen=True, slots=True)
class Opened:
    """What who has a link sees."""

    wait: Wait
    approved: bool | None
    expires_at: Instant


class ApprovalLinks:
    def __init__(
        self, database: Database, queries: ApprovalQueries, decisions: Decisions, vault: Vault, clock: Clock
    ) -> None:
        self._database = database
        self._queries = queries
        self._decisions = decisions
        self._vault = vault
        self._clock = clock

    async def make(
        self, run_id: str, path: str, *, by: Principal, lifetime: Duration | None, approved: bool | None
    ) -> Link:
        """A link for a task that waits for a decision. Raises `NotFound`, `InvalidRequest`, and `Conflict`
        `not_waiting`."""
        lifetime = USUAL_LIFETIME if lifetime is None else lifetime
        if not 0 < lifetime <= LONGEST_LIFETIME:
            days = LONGEST_LIFETIME // UNITS["d"]
            message = "a link holds for some time, and for 30 days at most"
            fault = Fault("expires_in", "value", message, f"write a duration up to {days}d")
            raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
        look = await self._queries.look(run_id, path)
        if look.wait is None or look.is_decided:
            raise not_waiting(run_id, path, look)
        expires_at = self._clock.now() + lifetime
        claims = Claims(run_id, path, look.wait.since, expires_at, by.user_id, approved)
        told = {"task": path, "expires_at": to_iso(expires_at), "approved": approved}
        # Nothing is kept of a link but that it was made.
        await self._database.write(lambda connection: note(connection, Action.APPROVAL_LINK, run_id, path, after=told))
        return Link(self._vault.sign(PURPOSE, claims.packed()), expires_at)

    async def open(self, token: str) -> Opened:
        """What a link asks. Raises `NotFound` for what is no link of ours, `Gone` for one that holds no more."""
        _, opened = await self._opened(token)
        return opened

    async def decide(self, token: str, decision: Decision) -> None:
        """Decide by a link. Raises as `open`, and `InvalidRequest` if it is not for this or the form does not fit."""
        claims, opened = await self._opened(token)
        if opened.approved is not None and decision.approved is not opened.approved:
            word = "approve" if opened.approved else "reject"
            fault = Fault("decision", "value", f"this link is to {word} only", f"write {word}")
            raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
        try:
            await self._decisions.decide_wait(opened.wait, decision, by=f"{BY_LINK}{claims.made_by}")
        except Conflict:
            _refuse(await self._look(claims))

    async def _opened(self, token: str) -> tuple[Claims, Opened]:
        content = self._vault.signed(PURPOSE, token)
        if content is None:
            raise _unknown()
        claims = Claims.unpacked(content)
        if claims.expires_at <= self._clock.now():
            raise Gone("link_expired", "the time of this link is over; ask whoever sent it for another")
        maker = await self._database.read(lambda connection: users.find_user(connection, claims.made_by))
        if maker is None or maker.disabled_at is not None or not await self._may_decide(maker, claims.run_id):
            raise _void()
        look = await self._look(claims)
        if look.wait is None or look.is_decided or look.wait.since != claims.since:
            _refuse(look)
        return claims, Opened(look.wait, claims.approved, claims.expires_at)

    async def _may_decide(self, maker: UserRow, run_id: str) -> bool:
        if Permission.RUN_DECIDE in everywhere(Role(maker.role), Access(maker.access)):
            return True

        def read(connection: Connection) -> frozenset[Grant]:
            run = run_rows.head(connection, run_id)
            return frozenset() if run is None else grants.granted(connection, maker.id, run.workflow_id)

        return not (await self._database.read(read)).isdisjoint(grants_with(Permission.RUN_DECIDE))

    async def _look(self, claims: Claims) -> Look:
        try:
            return await self._queries.look(claims.run_id, claims.path)
        except NotFound:
            raise Gone("not_waiting", "the run that asked for a decision is gone") from None


def _unknown() -> NotFound:
    return NotFound("link_not_found", "there is no such link; it may have been cut off or changed on its way")


def _void() -> Gone:
    message = "this link does not hold any more: whoever made it may not decide this now; ask for another"
    return Gone("link_void", message)


def _refuse(look: Look) -> NoReturn:
    if look.is_decided or was_decided(look):
        raise Gone("already_decided", "this was decided already; nothing more can be decided about it")
    now = doing_now(replace(look, wait=None))
    raise Gone("not_waiting", f"no decision is waited for any more: of the task, {now}")
