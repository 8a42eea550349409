"""Lists and searches over HTTP when there are 1,000,000 runs, for somebody who sees all and for some who do not.

    .venv/bin/python -m benchmarks.lists [--runs N] [--requests N] [--only PART] [--postgres]

The database is that of `crowd`. Each question is asked with random parameters, on first and on deep pages, by one
client after the other. Beside the lists: one run, the doctor, a dry run of retention, and how soon `millrace up` is
ready on the same file.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from benchmarks import crowd
from benchmarks.crowd import Crowd
from benchmarks.planting import size_mb
from benchmarks.postgres_server import postgres_database
from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.server import Client, cpu_seconds, later_start, server
from benchmarks.table import POSTGRES_TARGETS, TARGETS, columns, figures_table, number
from benchmarks.workloads import Figures, Samples, percentile
from millrace.app.cursors import encode_cursor
from millrace.core.values import to_iso

RUNS = 1_000_000
REQUESTS = 200
NO_RETENTION = {"MILLRACE_RETENTION_RUNS": "never", "MILLRACE_RETENTION_PAYLOADS": "never"}
"""Nothing may be deleted while lists are measured."""


class Asker:
    """Random parameters out of what there is."""

    def __init__(self, there: Crowd, seed: int = 1) -> None:
        self.there = there
        self._choose = random.Random(seed)  # noqa: S311 - no secret is made of it

    def workflow(self) -> str:
        """A busy one as often as a quiet one."""
        return self._choose.choice((*self.there.workflows[:3], *self.there.workflows[-3:]))

    def trigger(self) -> str:
        return self._choose.choice(self.there.triggers)

    def run(self) -> str:
        return self.there.run_id(self._choose.randrange(self.there.runs))

    def page(self) -> dict[str, str]:
        """The first page, or one from anywhere."""
        return {} if self._choose.random() < 0.5 else {"cursor": encode_cursor(self.run())}

    def page_of_log(self) -> dict[str, str]:
        return {"cursor": encode_cursor(self._choose.randrange(crowd.LOGS_OF_LONGEST))}

    def order(self) -> str:
        return f"order-{self._choose.randrange(self.there.runs // 10 + 1)}"

    def of(self, *values: str) -> str:
        return self._choose.choice(values)

    def number(self, below: int) -> int:
        return self._choose.randrange(below)

    def day(self) -> dict[str, str]:
        return self.span("created_after", "created_before")

    def span(self, since: str, until: str) -> dict[str, str]:
        """A whole day of the time that there are runs of."""
        first = self.there.newest_ms - self._choose.randrange(crowd.SPAN_MS)
        return {since: to_iso(first * 1000), until: to_iso((first + 86_400_000) * 1000)}


Ask = Callable[[Asker], str]


def of(path: str, **given: str | Callable[[Asker], str | dict[str, str]]) -> Ask:
    """A question for `path`; what is to be computed gives one value, or several parameters."""

    def ask(asker: Asker) -> str:
        values: dict[str, str] = {}
        for name, value in given.items():
            found = value if isinstance(value, str) else value(asker)
            values.update(found if isinstance(found, dict) else {name: found})
        whole = path
        for name in [name for name in values if f"{{{name}}}" in path]:
            whole = whole.replace(f"{{{name}}}", quote(values.pop(name)))
        return f"{whole}?{urlencode(values)}" if values else whole

    return ask


def either(*values: str) -> Callable[[Asker], str]:
    return lambda asker: asker.of(*values)


def team(asker: Asker) -> str:
    return f"team:team-{asker.number(crowd.TEAMS)}"


page, workflow = Asker.page, Asker.workflow
live = either("running", "waiting", "paused", "pending")
bad = either("failed", "cancelled")

RUN_LISTS: dict[str, Ask] = {
    "runs": of("/runs", page=page),
    "runs, 200 a page": of("/runs", limit="200", page=page),
    "runs: live status": of("/runs", status=live, page=page),
    "runs: all live": of("/runs", status="running,waiting,paused,pending,cancelling", page=page),
    "runs: failed or cancelled": of("/runs", status=bad, page=page),
    "runs: completed": of("/runs", status="completed", page=page),
    "runs: completed, failed": of("/runs", status="completed,failed", page=page),
    "runs: status none has": of("/runs", status="cancelling", page=page),
    "runs: workflow": of("/runs", workflow=workflow, page=page),
    "runs: workflow, live": of("/runs", workflow=workflow, status=live, page=page),
    "runs: workflow, bad": of("/runs", workflow=workflow, status=bad, page=page),
    "runs: workflow, completed": of("/runs", workflow=workflow, status="completed", page=page),
    "runs: workflow, trigger type": of(
        "/runs", workflow=workflow, trigger_type=either(*crowd.TRIGGER_TYPES), page=page
    ),
    "runs: workflow, type none has": of("/runs", workflow=workflow, trigger_type="email", page=page),
    "runs: trigger type": of("/runs", trigger_type=either(*crowd.TRIGGER_TYPES), page=page),
    "runs: rare trigger type": of("/runs", trigger_type="webhook", page=page),
    "runs: type none has": of("/runs", trigger_type="email", page=page),
    "runs: type none has, bad": of("/runs", trigger_type="email", status=bad, page=page),
    "runs: correlation": of("/runs", correlation_id=Asker.order),
    "runs: correlation none has": of("/runs", correlation_id="nothing", status="completed"),
    "runs: correlation, all else": of(
        "/runs", correlation_id=Asker.order, status="completed", workflow=workflow, trigger_type="cron"
    ),
    "runs: a day": of("/runs", day=Asker.day),
    "runs: a day, failed": of("/runs", day=Asker.day, status="failed"),
    "runs: a day, workflow": of("/runs", day=Asker.day, workflow=workflow),
    "runs: a day, rare type": of("/runs", day=Asker.day, trigger_type="webhook"),
    "runs: label of few": of("/runs", label=team, page=page),
    "runs: label of many": of("/runs", label="stage:live", page=page),
    "runs: label of none": of("/runs", label="team:none", page=page),
    "runs: label, failed": of("/runs", label=team, status="failed", page=page),
    "runs: label, completed": of("/runs", label=team, status="completed", page=page),
    "runs: label of many, rare type": of("/runs", label="stage:live", trigger_type="webhook", page=page),
    "workflow's runs": of("/workflows/{workflow}/runs", workflow=workflow, page=page),
    "workflow's runs: failed": of("/workflows/{workflow}/runs", workflow=workflow, status="failed", page=page),
    "workflow's runs: a day": of("/workflows/{workflow}/runs", workflow=workflow, day=Asker.day),
}
OTHER_LISTS: dict[str, Ask] = {
    "run": of("/runs/{run}", run=Asker.run),
    "run's tasks": of("/runs/{run}/tasks", run=Asker.run),
    "run's records": of("/runs/{run}/events", run=Asker.run),
    "run's logs": of("/runs/{run}/logs", run=Asker.run),
    "run's artifacts": of("/runs/{run}/artifacts", run=Asker.run),
    "run's timeline": of("/runs/{run}/timeline", run=Asker.run),
    "long log": of("/runs/{run}/logs", run=lambda asker: asker.there.longest, page=Asker.page_of_log),
    "long log: end": of("/runs/{run}/logs", run=lambda asker: asker.there.longest, tail="200"),
    "long log: level none has": of("/runs/{run}/logs", run=lambda asker: asker.there.longest, level="error"),
    "long log: its end of none": of("/runs/{run}/logs", run=lambda asker: asker.there.longest, task="load", tail="200"),
    "workflows": of("/workflows"),
    "workflows: name": of("/workflows", name=either("REPORT", "00", "none")),
    "workflows: label, status": of("/workflows", label=team, status="active"),
    "workflows: category": of("/workflows", category=either("category-1", "none")),
    "versions": of("/workflows/{workflow}/versions", workflow=workflow),
    "triggers": of("/triggers"),
    "triggers: filters": of("/triggers", type="cron", enabled="true", overdue="true"),
    "triggers: workflow": of("/workflows/{workflow}/triggers", workflow=workflow),
    "firings": of("/triggers/{trigger}/firings", trigger=Asker.trigger, page=page),
    "firings: missed": of("/triggers/{trigger}/firings", trigger=Asker.trigger, decision="missed", page=page),
    "firings: workflow": of("/workflows/{workflow}/firings", workflow=workflow, page=page),
    "firings: workflow, missed": of("/workflows/{workflow}/firings", workflow=workflow, decision="missed"),
    "events": of("/events", page=page),
    "events: type": of("/events", type=lambda asker: f"order.{asker.number(30)}", page=page),
    "events: type, source none has": of("/events", type="order.4", source="none", page=page),
    "events: source none has": of("/events", source="none", page=page),
    "events: subject": of("/events", subject=lambda asker: f"order/{asker.number(asker.there.runs)}"),
    "events: run": of("/events", run=Asker.run),
    "artifacts": of("/artifacts", page=page),
    "artifacts: name": of("/artifacts", name=lambda asker: f"REPORT-{asker.number(100)}", page=page),
    "artifacts: name none has": of("/artifacts", name="none", page=page),
    "artifacts: uploads": of("/artifacts", origin="upload", page=page),
    "artifacts: run": of("/artifacts", run=Asker.run),
    "deployments": of("/deployments", page=page),
    "deployments: failed": of("/deployments", outcome="failed", page=page),
    "deployments: undone": of("/deployments", action="undeploy"),
    "deployments: workflow": of("/workflows/{workflow}/deployments", workflow=workflow, page=page),
    "secrets": of("/secrets"),
    "connections": of("/connections"),
    "workers": of("/workers", live="false"),
}
AUDIT_LISTS: dict[str, Ask] = {
    "audit log": of("/audit-logs", page=page),
    "audit log: starts": of("/audit-logs", action="run.start", page=page),
    "audit log: actor": of("/audit-logs", actor=lambda asker: crowd.actor(asker.number(crowd.ACTORS)), page=page),
    "audit log: action": of("/audit-logs", action=either("workflow.deploy", "trigger.enable", "run.cancel"), page=page),
    "audit log: action none has": of("/audit-logs", action="secret.delete", page=page),
    "audit log: workflow": of("/audit-logs", entity="workflow", entity_id=workflow, page=page),
    "audit log: run": of("/audit-logs", entity="run", entity_id=Asker.run),
    "audit log: a day": of("/audit-logs", day=lambda asker: asker.span("from", "to")),
}
SOME: Mapping[str, Callable[[Crowd], Sequence[str]]] = {
    "some see six": lambda there: (*there.workflows[:3], *there.workflows[-3:]),
    "some see a quiet one": lambda there: there.workflows[-1:],
    "some see half": lambda there: there.workflows[::2],
}
"""Users who see no more than they were granted, and which workflows that are."""
ASKED_BY_SOME = (
    *("runs", "runs: live status", "runs: failed or cancelled", "runs: status none has", "runs: rare trigger type"),
    *("runs: a day", "runs: label of few", "runs: label of none", "runs: correlation", "workflows", "workflows: name"),
    *("triggers", "triggers: filters", "artifacts", "artifacts: name", "artifacts: name none has", "deployments"),
    *("deployments: failed", "deployments: undone"),
)
LISTS = RUN_LISTS | OTHER_LISTS | AUDIT_LISTS
LISTS |= {f"{some}: {name}": LISTS[name] for some in SOME for name in ASKED_BY_SOME}


@dataclass(frozen=True, slots=True)
class Answered:
    """How one question was answered: milliseconds, and what the pages held on average."""

    name: str
    times: Sequence[float]
    cpu: float
    """Milliseconds of the server's processor a request: what is left of the figures on a machine that others use."""
    items: float
    with_more: float

    def percentile(self, percent: int) -> float:
        return percentile(self.times, percent)


def answered(pid: int, client: Client, name: str, asker: Asker, requests: int) -> Answered:
    times, items, with_more = [], 0, 0
    ask = LISTS[name]
    client.send("GET", ask(asker))
    used = cpu_seconds(pid)
    for _ in range(requests):
        path = ask(asker)
        began = time.perf_counter()
        answer = client.send("GET", path)
        times.append((time.perf_counter() - began) * 1e3)
        shown = json.loads(answer)
        items += len(shown.get("items", ()))
        with_more += shown.get("next_cursor") is not None
    cpu = (cpu_seconds(pid) - used) * 1e3 / requests
    return Answered(name, times, cpu, items / requests, with_more / requests)


def table(answers: Sequence[Answered], bar_ms: float) -> str:
    rows = [("", "p50 ms", "p95 ms", "max ms", "cpu ms", "items", "with more", "")]
    for one in answers:
        late = one.percentile(95)
        rows.append((
            one.name, number(one.percentile(50)), number(late), number(max(one.times)), number(one.cpu),
            number(one.items), f"{one.with_more:.0%}", "bar met" if late <= bar_ms else "BELOW BAR",
        ))  # fmt: skip
    return columns(rows)


@dataclass(frozen=True, slots=True)
class Place:
    """A home, and the database that is used from it."""

    home: Path
    database_url: str

    @classmethod
    def on_sqlite(cls, home: Path) -> "Place":
        return cls(home, f"sqlite:///{home}/millrace.db")

    @property
    def settings(self) -> dict[str, str]:
        return {"MILLRACE_DATABASE_URL": self.database_url}


def crowded(place: Place, runs: int, workflows: int = crowd.WORKFLOWS) -> Crowd:
    """Fill the database. Workflows and users are posted, the rest is planted."""
    place.home.mkdir()
    with server(place.home, **place.settings) as (_pid, port, _seconds), closing(Client(port, place.home)) as client:
        for one in range(workflows):
            client.send("POST", "/workflows", crowd.definition(one))
        for one in range(crowd.ACTORS):
            client.send("POST", "/users", {"kind": "service", "name": crowd.actor(one), "role": "operator"})
    return crowd.plant(place.database_url, runs)


def measure(place: Place, there: Crowd, requests: int, only: str = "") -> list[Answered]:
    settings = NO_RETENTION | place.settings
    with server(place.home, **settings) as (pid, port, _seconds), ExitStack() as open_:
        client = open_.enter_context(closing(Client(port, place.home)))
        by_some = {
            some: open_.enter_context(closing(Client(port, place.home, key=restricted(client, some, chosen(there)))))
            for some, chosen in SOME.items()
        }
        _await_seals(client)
        return [
            answered(pid, by_some.get(name.partition(":")[0], client), name, Asker(there), requests)
            for name in LISTS
            if only in name
        ]


def restricted(client: Client, name: str, workflows: Sequence[str]) -> str:
    """The API key of a new service account that sees these workflows alone."""
    account = {"kind": "service", "name": name.replace(" ", "-"), "role": "operator", "access": "granted"}
    user = json.loads(client.send("POST", "/users", account))["id"]
    for one in workflows:
        client.send("PUT", f"/workflows/{one}/grants/{user}", {"grants": ["view"]})
    key: str = json.loads(client.send("POST", "/api-keys", {"name": name, "user": user}))["key"]
    return key


def _await_seals(client: Client) -> None:
    """Until the audit log that was planted is sealed, which goes on beside what is measured otherwise."""
    while json.loads(client.send("POST", "/audit-logs/verify", {}))["unsealed"]:
        time.sleep(1)


def other_figures(place: Place, starts: int) -> Figures:
    """Seconds: the start on this database, the doctor, and a dry run of retention by the default rule.

    The dry run comes last: by the default rule there is something to delete, and a round may begin while it looks.
    """
    figures = {"ready_at_1m_s": Samples(tuple(later_start(place.home, **place.settings) for _ in range(starts)))}
    for name, settings, method, path, body in (
        ("doctor_at_1m_s", NO_RETENTION, "GET", "/doctor", None),
        ("retention_dry_run_at_1m_s", {}, "POST", "/retention/run", {"dry_run": True}),
    ):
        with (
            server(place.home, **settings, **place.settings) as (_pid, port, _seconds),
            closing(Client(port, place.home, timeout=300)) as client,
        ):
            began = time.perf_counter()
            client.send(method, path, body)
            figures[name] = Samples((time.perf_counter() - began,))
    return figures


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is, and how often what is asked."""

    runs: int = RUNS
    workflows: int = crowd.WORKFLOWS
    requests: int = REQUESTS
    starts: int = 3


def list_figures(place: Place, extent: Extent) -> Figures:
    """The median and the 95th percentile of the list that is slowest in each, and the other figures."""
    answers = measure(place, crowded(place, extent.runs, extent.workflows), extent.requests)
    figures: Figures = {}
    for percent in (50, 95):
        late, name = max((one.percentile(percent), one.name) for one in answers)
        figures[f"lists_p{percent}_ms"] = Samples((late,), of=name)
    return figures | other_figures(place, extent.starts)


def main(runs: int, requests: int, only: str, *, postgres: bool) -> None:
    with scratch() as folder, postgres_database() if postgres else nullcontext() as url:
        home = folder / "lists"
        place = Place.on_sqlite(home) if url is None else Place(home, url)
        began = time.perf_counter()
        there = crowded(place, runs)
        seconds = time.perf_counter() - began
        print(f"{runs:,} runs planted in {seconds:.0f} s, {size_mb(place.database_url):,.0f} MB", flush=True)
        targets = POSTGRES_TARGETS if postgres else TARGETS
        print(table(measure(place, there, requests, only), targets["lists_p95_ms"].bar), flush=True)
        print(figures_table(other_figures(place, Extent().starts), targets))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lists", description="Lists of a million runs.")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="how many there are")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N", help="so many of each kind")
    parser.add_argument("--only", default="", metavar="PART", help="only questions with this in their name")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    end_in_order_when_told()
    given = parser.parse_args()
    main(given.runs, given.requests, given.only, postgres=given.postgres)
