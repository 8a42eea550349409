"""S1: on the days when clocks are changed, appointments keep what their policy says, and nothing fires twice."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.trigger_kit import TriggerKit, cron, definition

SPRING = ("2026-03-28T12:00:00Z", "2026-03-30T12:00:01Z")
"""Berlin's clocks go from 02:00 to 03:00 on the 29th of March."""
AUTUMN = ("2026-10-24T12:00:00Z", "2026-10-26T12:00:01Z")
"""Berlin's clocks go from 03:00 to 02:00 on the 25th of October."""


async def due_times(folder: Path, days: tuple[str, str], expression: str, **config: Any) -> list[str]:
    async with TriggerKit.opened(folder, days[0]) as kit:
        process = await kit.process()
        await process.deploy(definition(cron(expression, timezone="Europe/Berlin", **config)))
        process.schedule()
        await kit.sleep_until(days[1])
        assert {decision for decision, _ in await kit.told()} == {"started"}
        return await kit.started()


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        ("shift", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        ("skip", ["2026-03-30T02:30:00+02:00"]),
    ],
)
async def test_an_appointment_in_the_hour_that_no_clock_shows(tmp_path: Path, gap: str, expected: list[str]) -> None:
    assert await due_times(tmp_path, SPRING, "30 2 * * *", dst={"gap": gap}) == expected


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("first", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        ("last", ["2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"]),
        ("both", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"]),
    ],
)
async def test_an_appointment_in_the_hour_that_comes_twice(tmp_path: Path, overlap: str, expected: list[str]) -> None:
    assert await due_times(tmp_path, AUTUMN, "30 2 * * *", dst={"overlap": overlap}) == expected


async def test_an_hourly_schedule_follows_real_time_on_both_days(tmp_path: Path) -> None:
    for days in (SPRING, AUTUMN):
        assert len(await due_times(tmp_path / days[0][:10], days, "0 * * * *")) == 48


async def test_a_downtime_across_the_change_makes_up_for_the_latest(tmp_path: Path) -> None:
    async with TriggerKit.opened(tmp_path, AUTUMN[0]) as kit:
        process = await kit.process()
        await process.deploy(definition(cron("30 2 * * *", timezone="Europe/Berlin", dst={"overlap": "both"})))
        await kit.sleep_until("2026-10-25T06:00:00Z")
        await process.fire()
        assert await kit.told() == [
            ("missed", "2026-10-25T00:30:00 to 2026-10-25T00:30:00: 1"),
            ("started", "2026-10-25T01:30:00"),
        ]
