"""Routing an event, and deploying a workflow, where 1,000,000 triggers wait for events.

    .venv/bin/python -m benchmarks.routing [--triggers N] [--events N] [--postgres]

The triggers are planted by SQL while no Millrace has the database open. Five of them wait for each type; of those, one
takes the source of an event, and its `if` holds. Events are routed one after the other, as far as the decision which
triggers fire; a deploy is one over HTTP of a workflow that has such a trigger itself, from its request to its answer.
"""

import argparse
import random
import time
from contextlib import closing, nullcontext
from pathlib import Path

import uvloop

from benchmarks.lists import Place
from benchmarks.planting import Planter, planter, size_mb
from benchmarks.postgres_server import postgres_database
from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.server import Client, server
from benchmarks.table import POSTGRES_TARGETS, TARGETS, figures_table
from benchmarks.workloads import Figures, Samples, percentile
from millrace.bootstrap import running
from millrace.config import Settings
from millrace.triggers.event import Event

TRIGGERS = 1_000_000
EVENTS = 5_000
WARM_UP = 1_000
"""Events before those: so many meet every workflow once."""
OF_ONE_TYPE = 5
WORKFLOWS = 200
DEPLOYS = 50
CHUNK = 50_000
"""Triggers in one transaction."""

NAME = "waits-{}"
NUMBERS = "with recursive numbers(n) as (select {first} union all select n + 1 from numbers where n < {last})"
ID = "'018bcfe5-6800-7000-8000-' || cast(100000000000 + n as text)"
TYPE = "'load.type-' || cast(n / {of_one_type} as text)"
CONFIG = f"""'{{{{"event_type":"' || {TYPE} || '","source":"shop-' || cast(n % {{of_one_type}} as text) || '"}}}}'"""
PLANT = (  # nothing in it comes from outside
    f"""insert into triggers (id, workflow_id, origin, name, type, enabled, active, condition, config, input,
                              version_id, created_at, updated_at)
        {NUMBERS}
        select {ID}, one.workflow_id, 'api', 'planted-' || cast(n as text), 'event', one.enabled, one.active,
               one.condition, {CONFIG}, '{{{{}}}}', one.version_id, 1, 1
        from numbers join places on places.place = n % {{workflows}} join triggers one on one.id = places.trigger_id""",  # noqa: S608
    f"""insert into trigger_routes (kind, key, trigger_id, workflow_id)
        {NUMBERS}
        select 'event', {TYPE}, {ID}, places.workflow_id
        from numbers join places on places.place = n % {{workflows}}""",  # noqa: S608
)
PLACES = """create temp table places as
  select row_number() over (order by id) - 1 as place, id as trigger_id, workflow_id from triggers"""


def definition(name: str, number: int) -> dict[str, object]:
    """A workflow whose trigger waits for what nobody tells."""
    config = {"event_type": [f"deploy.{name}", f"deploy.{number}.*"]}
    trigger = {"id": "told", "type": "event", "config": config, "if": "{{ trigger.event.data.n > 1 }}"}
    return {"name": name, "triggers": [trigger], "tasks": [{"id": "only", "type": "noop"}]}


def workflows_for(triggers: int) -> int:
    return max(1, min(WORKFLOWS, triggers // OF_ONE_TYPE))


def crowded(place: Place, triggers: int) -> None:
    """Fill the database: the workflows are posted, their further triggers planted."""
    place.home.mkdir()
    with server(place.home, **place.settings) as (_pid, port, _seconds), closing(Client(port, place.home)) as client:
        for number in range(workflows_for(triggers)):
            client.send("POST", "/workflows", definition(NAME.format(number), number))
    with planter(place.database_url) as there:
        there.run(PLACES)
        for first in range(0, triggers, CHUNK):
            plant(there, first, min(first + CHUNK, triggers) - 1, workflows_for(triggers))
        there.settle()


def plant(there: Planter, first: int, last: int, workflows: int) -> None:
    there.run("begin")
    for statement in PLANT:
        there.run(statement.format(first=first, last=last, of_one_type=OF_ONE_TYPE, workflows=workflows))
    there.run("commit")


async def routing_times(place: Place, triggers: int, events: int) -> list[float]:
    """Milliseconds for each event, from types that are drawn at random, in a process that has run for a while."""
    choose = random.Random(1)  # noqa: S311 - no secret is made of it
    times = []
    warm_up = min(WARM_UP, events)
    settings = Settings(home=place.home, port=0, database_url=place.database_url)
    async with running(settings) as runtime:
        router = runtime.container.triggers.router
        for number in range(warm_up + events):
            drawn = choose.randrange(triggers)
            event = Event(
                id=str(number),
                type=f"load.type-{drawn // OF_ONE_TYPE}",
                source=f"shop-{drawn % OF_ONE_TYPE}",
                subject=None,
                data={"n": 2},
                at=0,
            )
            began = time.perf_counter()
            found = await router.match(event)
            times.append((time.perf_counter() - began) * 1e3)
            if len(found) != 1:
                raise RuntimeError(f"{len(found)} triggers fire for an event that is for one")
    return times[warm_up:]


def deploy_times(place: Place, deploys: int) -> list[float]:
    """Milliseconds for each deploy."""
    times = []
    with server(place.home, **place.settings) as (_pid, port, _seconds), closing(Client(port, place.home)) as client:
        client.send("POST", "/workflows", definition("deployed", 0))
        for number in range(1, deploys + 1):
            client.send("PATCH", "/workflows/deployed", {**definition("deployed", number), "deploy": False})
            began = time.perf_counter()
            client.send("POST", "/workflows/deployed/deploy", {})
            times.append((time.perf_counter() - began) * 1e3)
    return times


def routing_figures(place: Place, triggers: int = TRIGGERS, events: int = EVENTS) -> Figures:
    crowded(place, triggers)
    times = uvloop.run(routing_times(place, triggers, events))
    deploys = deploy_times(place, min(DEPLOYS, events))
    return {
        "routing_p50_ms": Samples((percentile(times, 50),)),
        "routing_p99_ms": Samples((percentile(times, 99),)),
        "deploy_p50_ms": Samples((percentile(deploys, 50),)),
        "deploy_p95_ms": Samples((percentile(deploys, 95),)),
    }


def main(triggers: int, events: int, *, postgres: bool) -> None:
    with scratch() as folder, postgres_database() if postgres else nullcontext() as url:
        home = Path(folder) / "routing"
        place = Place.on_sqlite(home) if url is None else Place(home, url)
        figures = routing_figures(place, triggers, events)
        print(f"{triggers:,} triggers, {size_mb(place.database_url):,.0f} MB")
        print(figures_table(figures, POSTGRES_TARGETS if postgres else TARGETS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description="Events among many triggers.")
    parser.add_argument("--triggers", type=int, default=TRIGGERS, metavar="N", help="how many wait")
    parser.add_argument("--events", type=int, default=EVENTS, metavar="N", help="how many are routed")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    end_in_order_when_told()
    given = parser.parse_args()
    main(given.triggers, given.events, postgres=given.postgres)
