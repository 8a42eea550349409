"""S1, O2: schedules that are due each second, two or three schedulers, which are killed and stopped at random.

Each due time must start one run, and none may be missed, whoever was dead or stood still meanwhile. By hand for longer:
`MILLRACE_TEST_SCHEDULERS_SECONDS=60`, of more with `MILLRACE_TEST_SCHEDULERS_TRIGGERS=100` for each of three workflows,
and another story with `MILLRACE_TEST_SCHEDULERS_SEED`.
"""

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import httpx2
import pytest

from tests.support.cluster import Cluster
from tests.support.own_server import own_server
from tests.support.server import MillraceProcess, create_workflow, until

pytestmark = [pytest.mark.service("postgres"), pytest.mark.timeout(900)]

SECONDS = float(os.environ.get("MILLRACE_TEST_SCHEDULERS_SECONDS", "6"))
SEED = int(os.environ.get("MILLRACE_TEST_SCHEDULERS_SEED", "20261121"))
WORKFLOWS = 3
TRIGGERS = int(os.environ.get("MILLRACE_TEST_SCHEDULERS_TRIGGERS", "30"))
SECOND = 1_000_000
COMES_TO_REST_WITHIN = 300.0
"""Seconds, on a machine that has much else to do."""

ALL = {"policy": "all", "limit": 1000}
"""Nothing is dropped, however long all schedulers were away at once."""
CLOCK = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"
FIRED = "select trigger_id, due_at, run_id from firings where decision = 'started'"
OTHERWISE = "select decision, reason, count(*) from firings where decision <> 'started' group by 1, 2"
RUNS = "select id, trigger_id from runs"
NOT_COMPLETED = "select status, error, count(*) from runs where status <> 'completed' group by 1, 2"


def each_second(number: int) -> dict[str, object]:
    config = {"expression": "* * * * * *", "catch_up": ALL}
    triggers = [{"id": f"t{one}", "type": "cron", "config": config} for one in range(TRIGGERS)]
    return {"name": f"ticking {number}", "triggers": triggers, "tasks": [{"id": "a", "type": "noop"}]}


@pytest.mark.parametrize("count", [2, 3])
def test_each_due_time_fires_once_whatever_happens_to_the_schedulers(tmp_path: Path, count: int) -> None:
    with own_server() as server, Cluster(tmp_path, server.url) as cluster:
        api, _, *schedulers = cluster.start("api", "worker", *["scheduler"] * count)
        with api.client() as client:
            for number in range(WORKFLOWS):
                create_workflow(client, each_second(number))
            begun = cluster.ask(CLOCK)[0][0]
            happened = trouble(schedulers, random.Random(f"{SEED}/{count}"), SECONDS)
            ended = cluster.ask(CLOCK)[0][0]
            come_to_rest(cluster, client, ended)
            assert client.get("/doctor").json()["problems"] == []
        fired_once(cluster, begun, ended)
        print(f"{count} schedulers: {dict(happened)}")
        assert happened.keys() == {"killed", "stopped"}


def trouble(schedulers: Sequence[MillraceProcess], chance: random.Random, seconds: float) -> Counter[str]:
    """Kill and stop schedulers for so long; in the end all of them run. What happened, and how often."""
    happened: Counter[str] = Counter()
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        victim = chance.choice(schedulers)
        time.sleep(chance.uniform(0.1, 1.0))
        # One of each first, so that also the shortest story has both.
        kind = ("killed", "stopped")[len(happened)] if len(happened) < 2 else chance.choice(("killed", "stopped"))
        happened[kind] += 1
        if kind == "killed":
            victim.kill()
            time.sleep(chance.uniform(0.0, 1.0))
            victim.spawn()
        else:
            victim.signal(SIGSTOP)
            time.sleep(chance.uniform(0.3, 4.0))
            victim.signal(SIGCONT)
    for scheduler in schedulers:
        scheduler.wait_until_ready()
    return happened


def come_to_rest(cluster: Cluster, client: httpx2.Client, ended: int) -> None:
    """Everything that was due has been decided; then nothing more is, and all runs finish."""
    behind = "select 1 from triggers where next_due_at <= $1 limit 1"
    until(lambda: not cluster.ask(behind, ended), within=COMES_TO_REST_WITHIN, pause=0.2)
    for number in range(WORKFLOWS):
        response = client.patch(f"/workflows/ticking-{number}", json={"status": "paused"})
        assert response.status_code == 200, response.text
    at_work = "select 1 from runs where finished_at is null limit 1"
    until(lambda: not cluster.ask(at_work), within=COMES_TO_REST_WITHIN, pause=0.2)


def fired_once(cluster: Cluster, begun: int, ended: int) -> None:
    assert cluster.ask(OTHERWISE) == [], "none was missed, and none failed"
    due: dict[str, Counter[int]] = defaultdict(Counter)
    fired = cluster.ask(FIRED)
    for trigger_id, at, _ in fired:
        due[trigger_id][at] += 1
    wanted = range((begun // SECOND + 1) * SECOND, ended + 1, SECOND)
    assert len(wanted) >= SECONDS - 1
    assert len(due) == WORKFLOWS * TRIGGERS
    for trigger_id, times in due.items():
        assert max(times.values()) == 1, f"{trigger_id} fired twice for a due time"
        assert [at for at in wanted if at not in times] == [], f"{trigger_id} lost due times"
    assert {(run_id, trigger_id) for trigger_id, _, run_id in fired} == set(map(tuple, cluster.ask(RUNS)))
    assert cluster.ask(NOT_COMPLETED) == []
