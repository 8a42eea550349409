"""Holds Millrace's cron schedules against the oracle: `make cron-oracle`.

    python -m tests.oracle.comparing --from 2024 --years 3 --expressions 300 --seed 1 [--zones Europe/Berlin …]

Every zone is compared with every expression, under one of the six pairs of rules that zone, expression and seed choose.
Ends with status 1 and the first differences, each with what reproduces it.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from multiprocessing import Pool
from typing import Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from millrace.triggers import CronSchedule, Due
from tests.oracle import cron_oracle
from tests.oracle.cron_cases import FREQUENT, made
from tests.oracle.cron_oracle import Expression, Firing

SECOND = 1_000_000
HOUR = 3600
Gap = Literal["shift", "skip"]
Overlap = Literal["first", "last", "both"]

MOST_SHOWN = 20


@dataclass(frozen=True)
class Job:
    zone: str
    expressions: tuple[str, ...]
    frequent: tuple[str, ...]
    first: date
    years: int
    seed: int


@dataclass(frozen=True)
class Result:
    firings: int
    schedules: int
    differences: list[str]


@dataclass(frozen=True)
class Schedule:
    text: str
    zone: str
    gap: Gap
    overlap: Overlap

    def due(self, after: int, until: int) -> list[Firing]:
        """By Millrace. Both bounds in seconds."""
        schedule = CronSchedule.parse(self.text, timezone=self.zone, gap=self.gap, overlap=self.overlap)
        return [_plain(due) for due in schedule.due_between(after * SECOND, until * SECOND, sys.maxsize)]


def _plain(due: Due) -> Firing:
    assert due.at % SECOND == 0
    return due.at // SECOND, due.local, due.shift


def compared(job: Job) -> Result:
    """One zone."""
    zone = ZoneInfo(job.zone)
    chance = random.Random(f"{job.seed} {job.zone}")
    after = int(datetime(job.first.year, job.first.month, job.first.day, tzinfo=UTC).timestamp()) - 1
    until = int(datetime(job.first.year + job.years, 1, 1, tzinfo=UTC).timestamp())
    windows = list(_windows(zone, after, until, chance))
    firings = schedules = 0
    differences: list[str] = []
    for text in (*job.expressions, *job.frequent):
        schedule = Schedule(text, job.zone, chance.choice(get_args(Gap)), chance.choice(get_args(Overlap)))
        schedules += 1
        for start, end in [(after, until)] if text in job.expressions else windows:
            expected = _expected(schedule, zone, start, end, walk=text in job.frequent)
            firings += len(expected)
            found = schedule.due(start, end)
            if found != expected:
                differences.append(_difference(schedule, start, end, found, expected))
    return Result(firings, schedules, differences)


def _expected(schedule: Schedule, zone: ZoneInfo, after: int, until: int, *, walk: bool) -> list[Firing]:
    """By the oracle. `walk`: if it can be had by looking at every minute, do that."""
    expression = Expression.of(schedule.text)
    follows = expression.follows_the_clock
    if walk and follows:
        return cron_oracle.walked(expression, zone, after, until)
    first = datetime.fromtimestamp(after, UTC).date() - timedelta(days=3)
    last = datetime.fromtimestamp(until, UTC).date() + timedelta(days=3)
    named = _named(expression, first, last)
    found = cron_oracle.firings(
        named, zone, follows_the_clock=follows, gap=schedule.gap, overlap=schedule.overlap
    )  # fmt: skip
    return [firing for firing in found if after < firing[0] <= until]


@lru_cache(maxsize=1000)
def _named(expression: Expression, first: date, last: date) -> list[datetime]:
    return cron_oracle.named_times(expression, first, last)


def _windows(zone: ZoneInfo, after: int, until: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    """The hours around each change of clocks, and around some moment when nothing happens."""
    for second in (*cron_oracle.changes(zone, after, until), chance.randrange(after, until)):
        middle = second // HOUR * HOUR
        yield middle - 7 * HOUR, middle + 7 * HOUR


def _difference(schedule: Schedule, after: int, until: int, found: list[Firing], expected: list[Firing]) -> str:
    missing, added = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    return (
        f"{schedule} after {after} until {until}: {len(missing)} missing, {len(added)} too many\n"
        f"  missing  {missing[:3]}\n  too many {added[:3]}"
    )


def zones() -> list[str]:
    return sorted(available_timezones() - {"localtime", "Factory"})


def jobs(
    names: Sequence[str], *, first: date, years: int, count: int, seed: int, frequent: tuple[str, ...] = FREQUENT
) -> list[Job]:
    expressions = tuple(made(count, seed))
    return [Job(name, expressions, frequent, first, years, seed) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="first", type=int, default=2024, help="the first year")
    parser.add_argument("--years", type=int, default=3)
    parser.add_argument("--expressions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--zones", nargs="*", default=zones())
    given = parser.parse_args()
    work = jobs(given.zones, first=date(given.first, 1, 1), years=given.years, count=given.expressions, seed=given.seed)
    started = time.monotonic()
    results: list[Result] = []
    with Pool(given.processes) as pool:
        for number, result in enumerate(pool.imap_unordered(compared, work), 1):
            results.append(result)
            passed = time.monotonic() - started
            if number % 10 == 0 or number == len(work):
                print(f"{number}/{len(work)} zones, {passed:.0f} s", file=sys.stderr, flush=True)
    _report(given, results, time.monotonic() - started)


def _report(given: argparse.Namespace, results: list[Result], seconds: float) -> None:
    differences = [difference for result in results for difference in result.differences]
    for difference in differences[:MOST_SHOWN]:
        print(difference)
    print(
        f"{sum(result.firings for result in results):,} firings of {sum(result.schedules for result in results):,} "
        f"schedules in {len(results)} zones compared, {given.first} to {given.first + given.years - 1}, "
        f"seed {given.seed}, in {seconds:.0f} s: {len(differences)} schedules differ"
    )
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
