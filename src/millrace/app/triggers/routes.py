"""The routes of triggers: kept in the transaction that writes the trigger, so that what comes in finds what holds."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import orjson
from sqlalchemy import Connection

from millrace.app.triggers import repository
from millrace.app.triggers.repository import TriggerRow
from millrace.core.errors import Conflict, Fault
from millrace.ports.trigger import Route
from millrace.triggers.registry import ROUTED

RANDOM_BYTES = 24
"""Of a path that nobody can guess."""
MARK = 8
"""Characters at its end, by which it is known."""


def keep(connection: Connection, row: TriggerRow) -> None:
    """Make the routes of the trigger those that its config asks for.

    A path that was made up stays that of the trigger as long as it asks for no other. Raises `Conflict` (`path_taken`)
    for a path that another trigger has, and names that one's workflow.
    """
    kind = ROUTED.get(row.type)
    wanted = set() if kind is None else set(kind.routes(orjson.loads(row.config)))
    held = set(repository.routes_of(connection, [row.id]).get(row.id, ()))
    if Route("webhook", None) in wanted:
        wanted.discard(Route("webhook", None))
        made_up = [route for route in held if _is_made_up(route)]
        wanted.add(made_up[0] if made_up else Route("webhook", _make_up()))
    repository.remove_routes(connection, row.id, held - wanted)
    for route in sorted(wanted - held, key=lambda route: (route.kind, str(route.key))):
        if not repository.add_route(connection, row, route):
            raise path_taken(connection, str(route.key))


def paths_of(connection: Connection, trigger_ids: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The paths of webhooks, by trigger."""
    paths: dict[str, list[str]] = defaultdict(list)
    for trigger_id, routes in repository.routes_of(connection, list(trigger_ids)).items():
        paths[trigger_id] += sorted(str(route.key) for route in routes if route.kind == "webhook")
    return paths


def path_taken(connection: Connection, path: str) -> Conflict:
    owner = repository.owner_of_path(connection, path)
    named = "another trigger" if owner is None else f"the trigger {owner[1]!r} of the workflow {owner[0]!r}"
    fault = Fault("triggers.config.path", "taken", f"/webhook/{path} belongs to {named}", "choose another path")
    return Conflict("path_taken", f"the path /webhook/{path} is taken by {named}", faults=[fault])


def _make_up() -> str:
    random = secrets.token_urlsafe(RANDOM_BYTES)
    return random + _mark(random)


def _is_made_up(route: Route) -> bool:
    """What a user writes is never taken for a path that nobody can guess: that bears a mark, which follows from it."""
    random, mark = (route.key or "")[:-MARK], (route.key or "")[-MARK:]
    return route.kind == "webhook" and mark == _mark(random)


def _mark(random: str) -> str:
    return hashlib.sha256(random.encode()).hexdigest()[:MARK]
