"""Those whom tasks wait for: they publish events, send signals and decide, also twice, late, and when nobody asked.

When the world is left in peace they see to it that whatever still waits comes to its end.
"""

import random
from typing import TYPE_CHECKING

import orjson

from millrace.app.routing.waits import EventWaits
from millrace.core.errors import Unavailable
from millrace.core.values import SECOND, JsonObject
from millrace.ports.store import InboxItem, StoreUnavailable
from millrace.triggers.event import Event
from tests.simulation.controls import EVENT_KEYS, EVENTS, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.process import Process
    from tests.simulation.world import World

WAITING = """
select w.run_id, w.path, w.kind, w.request, w.fire_at from waits w where w.kind in ('event', 'signal', 'approval')
order by w.run_id, w.path"""
APPROVALS = "select run_id, path from task_runs where type = 'approval' order by run_id, path"
UNFINISHED = "select id from runs where finished_at is null order by id"
EVERY = 15 * SECOND


class Outsiders:
    def __init__(self, world: "World", process: "Callable[[], Process | None]") -> None:
        """`process`: one to talk to, if there is any."""
        self._world = world
        self._process = process
        self._chance = random.Random(f"outsiders {world.seed}")

    def act(self) -> None:
        self._chance.choice([self._publish_any, self._signal_any, self._decide_any])()

    def end_waits(self) -> None:
        """What waits without end gets what it waits for; what waits for some time may have to wait."""
        for run_id, path, kind, request, fire_at in self._world.database.raw.execute(WAITING).fetchall():
            if fire_at is not None and self._chance.random() < 0.3:
                continue
            asked = orjson.loads(request)
            if kind == "signal":
                self._signal(run_id, asked["name"], wanted=True)
            elif kind == "approval":
                self._decide(run_id, path)
            else:
                type_ = asked["types"][0].replace("*", "a")
                self._publish(type_, asked["key"], wanted=True)
        self._world.later(EVERY, self.end_waits)

    # --- events -------------------------------------------------------------------------------------------------------

    def _publish_any(self) -> None:
        wanted = self._chance.random() < 0.7
        self._publish(self._chance.choice(EVENTS), self._chance.choice([None, *EVENT_KEYS]), wanted=wanted)

    def _publish(self, type_: str, subject: str | None, *, wanted: bool) -> None:
        """Routed by one process or by two, now and perhaps once more later, as after a crash."""
        now = self._world.clock.now()
        event = Event(self._world.ids.new(), type_, "simulation", subject, {"wanted": wanted}, now)
        for _ in range(self._chance.choice([1, 1, 2])):
            self._route(event)
        if self._chance.random() < 0.3:
            self._world.later(self._chance.randint(0, 20 * SECOND), lambda: self._route(event))

    def _route(self, event: Event) -> None:
        process = self._process()
        if process is None or process.is_going:
            return
        self._world.told(process.name, "routes", event.id, event.type, event.subject)

        async def tell() -> None:
            try:
                await EventWaits(process.line, process.store, process.engine, self._world.ids).tell(event)  # type: ignore[arg-type]
            except (StoreUnavailable, Unavailable):
                return

        process.ask(tell())

    # --- signals and decisions ----------------------------------------------------------------------------------------

    def _signal_any(self) -> None:
        runs = [row[0] for row in self._world.database.raw.execute(UNFINISHED)]
        if runs:
            self._signal(self._chance.choice(runs), self._chance.choice(SIGNALS), wanted=self._chance.random() < 0.7)

    def _signal(self, run_id: str, name: str, *, wanted: bool) -> None:
        self._post(run_id, "signal", {"name": name, "data": {"wanted": wanted}, "by": "an outsider"})

    def _decide_any(self) -> None:
        """Any approval there ever was: it may have been decided."""
        tasks = self._world.database.raw.execute(APPROVALS).fetchall()
        if tasks:
            self._decide(*self._chance.choice(tasks))

    def _decide(self, run_id: str, path: str) -> None:
        for _ in range(self._chance.choice([1, 1, 2])):
            approved = self._chance.random() < 0.6
            self._post(run_id, "decision", {"path": path, "approved": approved, "by": "an outsider"})

    def _post(self, run_id: str, kind: str, data: JsonObject) -> None:
        process = self._process()
        if process is None or process.is_going:
            return
        item = InboxItem(self._world.ids.new(), run_id, kind, data)
        hand_over = self._chance.random() < 0.7
        self._world.told(process.name, "brings", kind, run_id, data.get("path"))

        async def post() -> None:
            try:
                accepted = await process.store.post([item])
            except StoreUnavailable:
                return
            if hand_over and item.id in accepted and not process.is_going:
                process.engine.receive([item])

        process.ask(post())
