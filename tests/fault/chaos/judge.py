"""The judge: what must hold after all faults, whatever they were. Each rule yields a line for everything against it.

Processes are judged by the ledger. A worker that is killed or stands still cannot end its children, so theirs may go on
beside the attempt that replaces theirs; every other attempt has to be over, as seen from outside, before its successor
begins. What is left over of the former can do no harm within Millrace: nothing that it answers is taken.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import asyncpg
import orjson

from tests.fault.chaos.evidence import Evidence, Life, Task, detail
from tests.fault.chaos.faults import Fault
from tests.fault.chaos.load import Told
from tests.fault.chaos.workflows import COMPLETED, Workflow

SECOND = 1_000_000
ENDS = frozenset({"task.completed", "task.failed", "task.cancelled", "task.skipped"})
GIVEN_UP = frozenset({"task.lost", "task.stopped", "task.retrying", "task.withdrawn"})
HURTING = frozenset({"SIGKILL", "SIGSTOP"})

CLOCKS_APART = 250_000_000
"""Nanoseconds by which the time of a process may differ from that of its machine."""


@dataclass(frozen=True)
class Case:
    workflows: dict[str, Workflow]
    told: Told
    faults: Sequence[Fault]
    seen: Evidence
    overlaps: list[float] = field(default_factory=list)
    """Seconds that the process of a lost attempt was heard of beside its successor."""

    def workflow_of(self, run_id: str) -> Workflow:
        return self.workflows[self.seen.runs[run_id]["name"]]


def judge(case: Case) -> Iterator[str]:
    for rule in (
        accepted_runs_are_there,
        runs_ended_as_they_may,
        histories_are_whole,
        attempts_follow_one_another,
        lost_attempts_gave_nothing,
        processes_did_not_overlap,
        effects_have_attempts,
        limits_were_kept,
        each_second_fired_once,
    ):
        yield from rule(case)


# --- runs -------------------------------------------------------------------------------------------------------------


def accepted_runs_are_there(case: Case) -> Iterator[str]:
    told, seen = case.told, case.seen
    yield from told.strange
    for key, run_id in told.accepted.items():
        if seen.keys.get(key) != run_id:
            yield f"the key {key} was answered with run {run_id}, and is that of {seen.keys.get(key)}"
    for key, run_id in seen.keys.items():
        if run_id not in seen.runs or seen.runs[run_id]["name"] != told.workflow.get(key):
            yield f"the key {key} has no such run as was asked for: {run_id}"
    fired = {row["run_id"] for row in seen.firings}
    for run_id in seen.runs.keys() - seen.keys.values() - fired:
        yield f"nobody asked for run {run_id}"


def runs_ended_as_they_may(case: Case) -> Iterator[str]:
    for run_id, run in case.seen.runs.items():
        workflow, status = case.workflow_of(run_id), run["status"]
        if run["finished_at"] is None or status not in workflow.ends:
            yield f"run {run_id} of {workflow.name} is {status}: {run['error']}"
        elif status == COMPLETED and workflow.output is not None and orjson.loads(run["output"]) != workflow.output:
            yield f"run {run_id} of {workflow.name} answered {run['output'][:100]}"
        for path in workflow.completed_tasks:
            task = case.seen.tasks[run_id, path]
            # A second cancel says that nothing more is wanted, and one that was not answered is repeated.
            cancelled_twice = run["cancels"] > 1 and f"/runs/{run_id}/cancel" in case.told.repeated
            if task["status"] != COMPLETED and not cancelled_twice:
                yield f"{path} of run {run_id} of {workflow.name} is {task['status']}: {task['error']}"


def histories_are_whole(case: Case) -> Iterator[str]:
    for run_id, run in case.seen.runs.items():
        numbers = [record["seq"] for record in case.seen.records[run_id]]
        if numbers != list(range(1, run["last_seq"] + 1)):
            yield f"run {run_id} has a gap in its history: {numbers} of {run['last_seq']}"


# --- attempts ---------------------------------------------------------------------------------------------------------


def attempts_follow_one_another(case: Case) -> Iterator[str]:
    """By the history: none starts before the one before it was given up, none after the end of the task."""
    for run_id, records in case.seen.records.items():
        live: dict[str, int | None] = defaultdict(lambda: None)
        ended: set[str] = set()
        for record in records:
            kind, path = record["type"], record["path"]
            if kind == "task.started":
                if live[path] is not None or path in ended:
                    yield f"{path} of run {run_id} started while it was running, or over: record {record['seq']}"
                live[path] = detail(record)["attempt"]
            elif kind in GIVEN_UP | ENDS:
                live[path] = None
                ended |= {path} if kind in ENDS else set()


def lost_attempts_gave_nothing(case: Case) -> Iterator[str]:
    """The result that was taken is that of the attempt which completed, and of no other, by its own words, too."""
    by_task: dict[Task, list[asyncpg.Record]] = defaultdict(list)
    for attempt in case.seen.attempts:
        by_task[attempt["run_id"], attempt["path"]].append(attempt)
    for task, attempts in by_task.items():
        winners = [attempt["token"] for attempt in attempts if attempt["status"] == COMPLETED]
        lost = {detail(record)["attempt"] for record in case.seen.records[task[0]]
                if record["type"] == "task.lost" and record["path"] == task[1]}  # fmt: skip
        taken = {attempt["number"] for attempt in attempts if attempt["status"] == COMPLETED}
        completed = case.seen.tasks[task]["status"] == COMPLETED
        if len(winners) != completed or taken & lost:
            yield f"{task}: {len(winners)} attempts completed, of them lost {taken & lost}"
        told = _token_told(case.seen.tasks[task]["output"])
        if completed and told is not None and told not in winners:
            yield f"{task} answered with the token of an attempt that did not win: {told}"


def _token_told(output: str | None) -> str | None:
    # What lies outside of its row is no JSON there; it is too large to be a token.
    found: Any = orjson.loads(output) if output and output[0] == "{" else None
    result = found.get("result") if isinstance(found, dict) else None
    return str(result["token"]).rpartition(":")[2] if isinstance(result, dict) and "token" in result else None


def processes_did_not_overlap(case: Case) -> Iterator[str]:
    rows = {attempt["token"]: attempt for attempt in case.seen.attempts}
    by_task: dict[Task, list[Life]] = defaultdict(list)
    for token, life in case.seen.lives.items():
        line = life.lines[0]
        if token not in rows or rows[token]["incarnation_id"] != line.incarnation:
            yield f"an attempt ran that nobody had claimed: {line}"
            continue
        if life.count("begin") != 1:
            yield f"the attempt {token} of {line.task} was executed {life.count('begin')} times"
        yield from _went_on(case, life, rows[token])
        by_task[line.task].append(life)
    for task, lives in by_task.items():
        if len(lives) > 1 and task[1] in case.workflow_of(task[0]).at_most_once:
            yield f"{task} was executed {len(lives)} times in spite of `on_crash: false`"
        yield from _overlaps(case, task, sorted(lives, key=lambda life: life.began))


def _overlaps(case: Case, task: Task, lives: Sequence[Life]) -> Iterator[str]:
    for number, later in enumerate(lives):
        for earlier in lives[:number]:
            if earlier.last <= later.began:
                continue
            case.overlaps.append((earlier.last - later.began) / 1e9)
            if not _was_hurt(case, earlier):
                yield f"{task}: {earlier.token} went on for {case.overlaps[-1]:.3f} s beside {later.token}"


def _went_on(case: Case, life: Life, attempt: asyncpg.Record) -> Iterator[str]:
    """Unless its worker was lost, an attempt is over when Millrace says so."""
    if attempt["finished_at"] * 1_000 + CLOCKS_APART < life.last and not _was_hurt(case, life):
        beyond = life.last / 1e9 - attempt["finished_at"] / 1e6
        yield f"{attempt['token']} of {life.lines[0].task}, {attempt['status']}, went on for {beyond:.3f} s"
    if attempt["status"] == COMPLETED and life.count("end") != 1:
        yield f"{attempt['token']} of {life.lines[0].task} completed without coming to its end"


def _was_hurt(case: Case, life: Life) -> bool:
    """Whether its worker was killed, or stood still, before the last that was heard of the attempt."""
    pid = case.seen.pids[life.lines[0].incarnation]
    return any(fault.pid == pid and fault.kind in HURTING and fault.began < life.last for fault in case.faults)


def effects_have_attempts(case: Case) -> Iterator[str]:
    """A side effect happens as often as attempts began, at most, and at least once if the task completed."""
    for task, row in case.seen.tasks.items():
        if row["type"] != "database":
            continue
        times, starts = case.seen.effects.get(task, 0), case.seen.of_task(task, "task.started")
        if times > starts or (row["status"] == COMPLETED and times < 1):
            yield f"the effect of {task} happened {times} times in {starts} attempts"


# --- limits and schedules ---------------------------------------------------------------------------------------------


def limits_were_kept(case: Case) -> Iterator[str]:
    """By what is known of them afterwards; the sampler has looked while they changed."""
    for key, limit, most in _crowds(_admitted_runs(case)):
        yield f"{most} runs were admitted at once under {key}, which takes {limit}"
    for key, limit, most in _crowds(_attempts_under_limits(case)):
        yield f"{most} attempts ran at once under {key}, which takes {limit}"


def _admitted_runs(case: Case) -> Iterator["Stay"]:
    for row in case.seen.runs.values():
        if row["admission_key"] is not None and row["admitted_at"] is not None and row["finished_at"] is not None:
            yield Stay(row["admission_key"], row["admission_limit"], row["admitted_at"], row["finished_at"])


def _attempts_under_limits(case: Case) -> Iterator["Stay"]:
    """Each from its first word to its end. The row says when the claim began: it may then have waited for its turn,
    until another attempt under the same limit was over."""
    for row in case.seen.attempts:
        life = case.seen.lives.get(row["token"])
        if row["limit_key"] is not None and row["finished_at"] is not None and life is not None:
            yield Stay(row["limit_key"], row["limit_size"], life.began // 1_000, row["finished_at"])


class Stay(NamedTuple):
    """Somebody's, under a limit."""

    key: str
    limit: int
    since: int
    until: int


def _crowds(stays: Iterable[Stay]) -> Iterator[tuple[str, int, int]]:
    moments: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for stay in stays:
        # Surely there since then; who stood still may say its first word after others declared it lost. The sampler
        # counts what is there at one moment, by the database alone.
        since = stay.since + CLOCKS_APART // 1_000
        if since < stay.until:
            moments[stay.key, stay.limit] += [(since, 1), (stay.until, -1)]
    for (name, size), changes in moments.items():
        now = most = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
        if most > size:
            yield name, size, most


def each_second_fired_once(case: Case) -> Iterator[str]:
    times = [row["due_at"] for row in case.seen.firings if row["run_id"] is not None]
    for due, count in Counter(times).items():
        if count > 1:
            yield f"{due} was fired {count} times"
    for before, after in pairwise(sorted(set(times))):
        if after - before != SECOND:
            yield f"nothing was fired between {before} and {after}"
    if len(times) < 2:
        yield "the schedule did not fire"
