"""At rest nobody asks the database for what nobody has written; where others may write, everybody asks each time."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from millrace.app.endings.following import Endings
from millrace.app.firing.scheduler import Scheduler
from millrace.app.plans import StoredPlans
from millrace.app.routing.routing import EventRouting
from millrace.definition import ControlMeanings
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.dispatch.localbus import LocalBus
from millrace.engine.engine import Engine
from millrace.engine.inbox import InboxReader
from millrace.engine.service import Service
from millrace.engine.timers import Timers
from millrace.engine.wakeups import Wakeups
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import ECHO, create
from tests.support.installation import Installation, installation

LATER = {"id": "later", "type": "cron", "config": {"expression": "0 0 29 2 *"}}


class Asked:
    """How often the engine's part of the database was read."""

    def __init__(self, there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        for name in ("ask", "read_for_engine"):
            monkeypatch.setattr(there.database, name, self._counted(getattr(there.database, name)))
        if there.store.written is None:
            monkeypatch.setattr(there.database, "write_for_engine", self._counted(there.database.write_for_engine))  # type: ignore[union-attr]

    def _counted(self, read: Any) -> Any:
        async def counted(*asked: Any) -> Any:
            self.times += 1
            return await read(*asked)

        return counted


@pytest.fixture
async def there(tmp_path: Path, database_url: str | None) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url) as made:
        yield made


def services(there: Installation) -> Sequence[Service]:
    """Those that look each second whether there is anything to do."""
    of, clock, ids, plans = there.container.triggers, SystemClock(), Uuid7Ids(), StoredPlans(there.database)
    engine = Engine(there.store, plans, CelEvaluator(), clock, ids, LocalBus(), Wakeups(), controls=ControlMeanings())
    return (
        InboxReader(there.store, engine),
        Timers(there.store, engine, clock),
        EventRouting(there.database, of.router, of.firer, of.waits, clock, ids),
        Endings(there.database, []),
        Scheduler(
            there.database, plans, of.schedules, CelEvaluator(), there.container.run_starter, clock, ids, of.test_mode
        ),
    )


async def test_only_what_was_written_is_looked_for(there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    async with there.client() as api:
        await create(api, {"name": "w", "tasks": [ECHO], "triggers": [LATER]})
        # The first round of some writes how far it has come.
        looking = services(there)
        for service in (*looking, *looking):
            await service.run_once()
        asked = Asked(there, monkeypatch)
        for service in looking:
            before = asked.times
            await service.run_once()
            assert (asked.times > before) is (there.store.written is None), type(service).__name__
        await create(api, {"name": "other", "tasks": [ECHO]})
        for service in looking:
            before = asked.times
            await service.run_once()
            assert asked.times > before, type(service).__name__
