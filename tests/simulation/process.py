"""One simulated process: the engine, worker and services of Millrace, put together as `bootstrap` does, in a loop of
its own. It may die, stand still, or be asked to stop; whatever it had not committed is gone with it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.app.histories.queries import unfinished
from millrace.app.runs.children.starting import ChildStarts
from millrace.app.runs.takeover import Takeover
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import SecretChain
from millrace.core.values import SECOND
from millrace.definition import ControlMeanings
from millrace.dispatch.localbus import LocalBus
from millrace.engine.admission import Admission
from millrace.engine.engine import Engine
from millrace.engine.inbox import InboxReader
from millrace.engine.reaper import Reaper
from millrace.engine.service import Service
from millrace.engine.timers import Lookout, Timers
from millrace.engine.wakeups import AdmissionElsewhere, Wakeups
from millrace.ports.dispatch import Hint
from millrace.ports.store import StoreUnavailable
from millrace.roles import Role
from millrace.storage.sqlite import SqliteStore
from millrace.worker.attempt import Surroundings
from millrace.worker.heartbeat import Heartbeat
from millrace.worker.logs import LogShipper
from millrace.worker.worker import Worker
from tests.simulation.children import Starter
from tests.simulation.database import Line
from tests.simulation.loop import ProcessLoop
from tests.simulation.words import Words
from tests.simulation.work import Registry

if TYPE_CHECKING:
    from tests.simulation.world import World

LEASE = 15 * SECOND
TYPE_LIMITS = {"instant": 2}
INSTALLATION = "simulation"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a process is for, and how often it looks when nobody tells it anything."""

    role: Role
    slots: int
    queues: tuple[str, ...]
    interval: float
    type_limits: bool


class Messages:
    """The hints between processes, and the bus: each may be lost, late or doubled. Meets `Hints` and `Bus`."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._bus = LocalBus()
        self._acts: dict[Hint, list[Callable[[str], None]]] = defaultdict(list)

    def tell(self, hint: Hint, subject: str = "") -> None:
        self._process.world.broadcast(self._process, lambda other: other.messages.hear(hint, subject))

    def on(self, hint: Hint, act: Callable[[str], None]) -> None:
        self._acts[hint].append(act)

    def hear(self, hint: Hint, subject: str) -> None:
        for act in self._acts[hint]:
            act(subject)

    def publish(self, run_id: str) -> None:
        self._bus.publish(run_id)
        if not self._process.embedded:
            self._process.world.broadcast(self._process, lambda other: other.messages.look(run_id))

    def look(self, run_id: str) -> None:
        self._bus.publish(run_id)

    async def wait(self, run_id: str, timeout: float) -> bool:
        return await self._bus.wait(run_id, timeout)


class RareShipper(LogShipper):
    """Looks for lines as seldom as the other services look: five times a second is a lot where time costs nothing."""

    def __init__(self, process: "Process") -> None:
        super().__init__(process.store, process.messages)
        self._rarely = process.kind.interval

    async def run_once(self) -> float | None:
        await super().run_once()
        self.interval = self._rarely
        return None


class CrowdedStore(SqliteStore):
    """Two commits of a process may be under way, as on PostgreSQL, though it be for one change."""

    worth_another = 1


class Process:
    def __init__(self, world: "World", name: str, kind: Kind, *, embedded: bool) -> None:
        self.world = world
        self.name = name
        self.kind = kind
        self.embedded = embedded
        self.alive = True
        self.stopping = False
        self.still_until = 0
        """When it goes on, on the steady clock, if it stands still."""
        self.loop = ProcessLoop(world.clock)
        self.messages = Messages(self)
        make_store = CrowdedStore if world.weather.crowded else SqliteStore
        self.line = Line(world, self)
        self.store = make_store(self.line, world.shelf)  # type: ignore[arg-type]
        self.takeover = Takeover(self.line, world.plans, world.shelf)  # type: ignore[arg-type]
        wakeups = Wakeups()
        wakeups.others = None if embedded else self.messages
        self.engine = Engine(
            self.store,
            world.plans,
            Words(self),
            world.clock,
            world.ids,
            self.messages,
            wakeups,
            controls=ControlMeanings(),
            type_limits=TYPE_LIMITS if kind.type_limits else None,
            payloads=world.shelf,
            unfinished=None if embedded else unfinished(self.line),  # type: ignore[arg-type]
        )
        self.worker: Worker | None = None
        self.services = self._engine_services(wakeups)
        if kind.role.works:
            self.services += self._worker_services()
        for service in self.services:
            if not isinstance(service, Heartbeat | LogShipper):
                service.interval = kind.interval
        self.main = self.loop.create_task(self._run())

    # --- life ---------------------------------------------------------------------------------------------------------

    def ask(self, call: Coroutine[object, object, Any]) -> "asyncio.Task[Any]":
        """Have something done in the process."""
        return self.loop.create_task(call)

    def come_to_rest(self) -> None:
        self.loop.come_to_rest()
        for fault in self.loop.faults:
            self.world.problem(f"{self.name}: nobody caught {fault!r}")
        if self.alive and self.main.done():
            error = None if self.main.cancelled() else self.main.exception()
            if error is not None and not isinstance(error, StoreUnavailable):
                self.world.problem(f"{self.name} ended: {error!r}")
            self.die("at its end", "main")

    def die(self, when: str, where: str) -> None:
        """Nothing is reported, nothing is tidied up."""
        if self.alive:
            self.alive = False
            self.world.told(self.name, "dies", when, where)
            self.world.dead.append(self)

    def bury(self) -> None:
        self.world.executions.end_with(self)
        self.loop.end()

    @property
    def is_going(self) -> bool:
        """Whether it is dead, or answers nobody any more."""
        return self.stopping or not self.alive

    def stop(self) -> None:
        """The signal to stop in good order."""
        self.stopping = True
        self.main.cancel()

    async def _run(self) -> None:
        heartbeat = next((service for service in self.services if isinstance(service, Heartbeat)), None)
        if heartbeat is not None:
            await heartbeat.register(sole=self.embedded)
        loops = asyncio.create_task(self._loops())
        try:
            await asyncio.shield(loops)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()  # type: ignore[union-attr]
            if self.worker is not None:
                await self.worker.drain(self.world.chance.choice([0.0, 3.0, 20.0]))
            await self._settle()
        finally:
            loops.cancel()
            await asyncio.gather(loops, return_exceptions=True)
            if self.worker is not None:
                await self.store.retire(self.worker.incarnation_id)

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(5.0):
                await self.engine.settle()
        except TimeoutError:
            return

    async def _loops(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.run())
            for service in self.services:
                tasks.create_task(service.run())
            if self.worker is not None:
                tasks.create_task(self.worker.run())
                await asyncio.sleep(0)
                self.engine.attach(self.worker)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _engine_services(self, wakeups: Wakeups) -> list[Service]:
        store, engine, clock, hints = self.store, self.engine, self.world.clock, self.messages
        if not self.kind.role.schedules:
            lookout = Lookout(store, engine, clock)
            wakeups.alarm = lookout if self.kind.role.works else None
            wakeups.admission, wakeups.inbox = AdmissionElsewhere(hints), lambda: hints.tell(Hint.INBOX)
            return [lookout] if self.kind.role.works else []
        inbox = InboxReader(store, engine)
        timers, admission = Timers(store, engine, clock), Admission(store, inbox, clock)
        wakeups.alarm, wakeups.admission, wakeups.inbox = timers, admission, inbox.wake
        children = ChildStarts(self.line, Starter(self), self.takeover, engine, clock, self.world.ids)  # type: ignore[arg-type]
        wakeups.child_wanted = children.wake
        hints.on(Hint.INBOX, lambda _: inbox.wake())
        hints.on(Hint.ADMISSION, lambda _: admission.wake())
        reaper = Reaper(store, engine, clock, LEASE, beside_others=not self.embedded)
        return [inbox, timers, admission, children, reaper]

    def _worker_services(self) -> Sequence[Service]:
        world, masker = self.world, SecretMasker()
        shipper = RareShipper(self)
        around = Surroundings(
            self.engine,
            Registry(self),
            Words(self),
            SecretChain([], masker),
            masker,
            world.clock,
            shipper,
            payloads=world.shelf,
        )
        self.worker = Worker(
            around,
            slots=self.kind.slots,
            queues=self.kind.queues,
            new_id=world.ids.new,
            installation_id=INSTALLATION,
        )
        heartbeat = Heartbeat(self.store, self.worker, LEASE, watched_by=None if self.embedded else world.clock)
        self.messages.on(Hint.WORK, lambda _: self.engine.look_for_work())
        self.messages.on(Hint.STOP, heartbeat.stop_wanted)
        return [heartbeat, shipper]
