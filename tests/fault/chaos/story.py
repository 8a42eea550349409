"""The story of one chaos: a cluster under load, the faults by a seed, the end of all runs, the judgement."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from millrace.worker.orphans import groups_here
from tests.fault.chaos.evidence import Sampler, gather
from tests.fault.chaos.faults import DatabaseLane, Lane, befall
from tests.fault.chaos.judge import Case, judge
from tests.fault.chaos.load import Caller, Told
from tests.fault.chaos.workflows import EFFECTS, Workflow, workflows
from tests.support.cluster import Cluster
from tests.support.own_server import OwnServer, own_server
from tests.support.postgres import bare_database
from tests.support.server import MillraceProcess, create_workflow, until

SHAPES = (("up", "up", "up"), ("up", "api", "worker"), ("api", "scheduler", "worker"), ("up", "scheduler", "worker"))
CALLERS = 6
RECOVERS_WITHIN = 30.0
"""Seconds after the last fault in which all runs that are due have finished."""
WAITS_FOR_THE_END = 150.0
LOOK_AGAIN = 0.2
UNFINISHED = """
select r.id, w.name, r.status from runs r join workflows w on w.id = r.workflow_id where r.finished_at is null"""
ENTRY = re.compile(r"^(?=\d{4}-\d\d-\d\d |Millrace is ready)", re.MULTILINE)
EXPLAINED = re.compile(r"ERROR +millrace.api.problems: a request failed because the store is unavailable: ")
ALARMING = re.compile(r"Traceback|was never retrieved|was never awaited|\b(ERROR|CRITICAL)\b|Exception ignored")


@dataclass(frozen=True)
class Plan:
    seed: int
    seconds: float = 60.0
    """In which faults happen."""
    lease: int = 5
    """Seconds."""
    shape: Sequence[str] | None = None
    """The roles of the processes; without it the seed chooses."""

    @property
    def roles(self) -> Sequence[str]:
        return self.shape or random.Random(self.seed).choice(SHAPES)


@dataclass(frozen=True)
class Verdict:
    problems: list[str]
    recovered: float
    """Seconds from the last fault to the end of the last run."""
    told: dict[str, Any]
    """Figures, for people."""


def chaos(plan: Plan, folder: Path) -> Verdict:
    """Let it happen in `folder`, and judge it."""
    ledger, told = folder / "ledger", Told()
    ledger.touch()
    with own_server() as server, _effects_database() as outside, _cluster(folder, server.url, plan) as cluster:
        processes = cluster.start(*plan.roles)
        load = workflows(ledger, outside, plan.lease)
        with _answering(processes)[0].client() as client:
            for workflow in load:
                create_workflow(client, workflow.document)
        sampler, callers = Sampler(server.url), _callers(plan, processes, load, told)
        for thread in (sampler, *callers):
            thread.start()
        lanes = _lanes(plan, processes, server)
        faults = befall(lanes)
        over = time.time()
        problems = [line for lane in lanes for line in lane.strange]
        problems += _come_to_rest(cluster, processes, callers, told)
        sampler.over.set()
        sampler.join()
        case = Case({one.name: one for one in load}, told, faults, gather(server.url, outside, ledger))
        problems += [*sampler.found, *judge(case), *_left_behind(cluster, processes), *_alarms(processes)]
        recovered = max(_due_end(case, run_id) for run_id in case.seen.runs) - over
        return Verdict(problems, recovered, _figures(case, lanes, sampler))


def _lanes(plan: Plan, processes: Sequence[MillraceProcess], server: OwnServer) -> list[Lane | DatabaseLane]:
    seed, until = str(plan.seed), time.monotonic() + plan.seconds
    database = DatabaseLane(server, seed, seconds=plan.seconds, lease=plan.lease)
    return [*(Lane(process, seed, until=until, hold=2.0 * plan.lease) for process in processes), database]


@contextmanager
def _effects_database() -> Iterator[str]:
    with asyncio.Runner() as runner:
        context = bare_database()
        url = runner.run(context.__aenter__())
        try:
            runner.run(_tell(url, EFFECTS))
            yield url
        finally:
            runner.run(context.__aexit__(None, None, None))


async def _tell(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _cluster(folder: Path, url: str, plan: Plan) -> Cluster:
    return Cluster(
        folder,
        url,
        MILLRACE_WORKER_LEASE_SECONDS=str(plan.lease),
        MILLRACE_HTTP_ALLOWED_TARGETS="127.0.0.1",
        MILLRACE_MAX_ROW_BYTES="2048",
        MILLRACE_STOP_SECONDS="3",
        MILLRACE_WORKER_SLOTS="32",
    )


def _answering(processes: Sequence[MillraceProcess]) -> list[MillraceProcess]:
    return [process for process in processes if process.command[0] in ("up", "api")]


def _callers(plan: Plan, processes: Sequence[MillraceProcess], load: Sequence[Workflow], told: Told) -> list[Caller]:
    answering = _answering(processes)
    urls = [process.url for process in answering]
    return [Caller(f"{plan.seed}-{n}", urls, answering[0].api_key, load, told) for n in range(CALLERS)]


# --- the end ----------------------------------------------------------------------------------------------------------


def _come_to_rest(
    cluster: Cluster, processes: Sequence[MillraceProcess], callers: Sequence[Caller], told: Told
) -> Iterator[str]:
    """No new runs; those that were accepted finish."""
    for caller in callers:
        caller.over.set()
    for caller in callers:
        caller.join()
    with _answering(processes)[0].client() as client:
        (trigger,) = client.get("/triggers", params={"workflow": "ticking"}).json()["items"]
        until(lambda: _is_up_to_date(cluster), WAITS_FOR_THE_END, LOOK_AGAIN)
        client.post(f"/triggers/{trigger['id']}/disable").raise_for_status()
        with suppress(AssertionError):
            until(lambda: _all_finished(cluster, client, told), WAITS_FOR_THE_END, LOOK_AGAIN)
    for run_id, name, status in cluster.ask(UNFINISHED):
        yield f"run {run_id} of {name} is {status} for ever"


def _all_finished(cluster: Cluster, client: httpx2.Client, told: Told) -> bool:
    """Whether no run is left. A process that stood still may have carried out a pause that was asked for
    elsewhere, too, long ago; its run is resumed once more."""
    unfinished = cluster.ask(UNFINISHED)
    for run_id, _, status in unfinished:
        if status == "paused" and f"/runs/{run_id}/pause" in told.repeated:
            client.post(f"/runs/{run_id}/resume")
    return not unfinished


def _is_up_to_date(cluster: Cluster) -> bool:
    """Whether every second that is over has been fired."""
    return bool(cluster.ask("select 1 from triggers where type = 'cron' and next_due_at > now_us() - 500000"))


def _left_behind(cluster: Cluster, processes: Sequence[MillraceProcess]) -> Iterator[str]:
    ((installation,),) = cluster.ask("select id from installation")
    try:
        until(lambda: not list(groups_here(installation)), 20, LOOK_AGAIN)
    except AssertionError:
        yield f"process groups are left over: {list(groups_here(installation))}"
    done = _answering(processes)[0].millrace("doctor", check=False)
    if done.returncode != 0:
        yield f"doctor: {done.stdout}{done.stderr}"


def _alarms(processes: Sequence[MillraceProcess]) -> Iterator[str]:
    """Entries of the logs that nobody should have to read, each with all of its lines."""
    for process in processes:
        for entry in ENTRY.split(process.log.read_text()):
            if ALARMING.search(entry) and not EXPLAINED.search(entry):
                yield f"{process.log.name}: {entry}"


def _due_end(case: Case, run_id: str) -> float:
    """When a run ended, in seconds; without the time that it takes by itself."""
    return (case.seen.runs[run_id]["finished_at"] or 0) / 1e6 - case.workflow_of(run_id).seconds


def _figures(case: Case, lanes: Sequence[Lane | DatabaseLane], sampler: Sampler) -> dict[str, Any]:
    seen = case.seen
    return {
        "processes": [lane.name for lane in lanes],
        "faults": dict(Counter(fault.kind for fault in case.faults)),
        "course": [f"{_clock(fault.began)}-{_clock(fault.ended)} {fault.where} {fault.kind}" for fault in case.faults],
        "failed starts": sum(lane.failed_starts for lane in lanes),
        "runs": dict(Counter(f"{row['name']} {row['status']}" for row in seen.runs.values())),
        "attempts": dict(Counter(row["status"] for row in seen.attempts)),
        "accepted": len(case.told.accepted),
        "unanswered": case.told.unanswered,
        "samples": sampler.samples,
        "left beside their successors": len(case.overlaps),
        "longest (s)": round(max(case.overlaps, default=0.0), 2),
    }


def _clock(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e9, UTC):%H:%M:%S.%f}"[:-3]
