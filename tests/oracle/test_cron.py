"""A small part of `make cron-oracle`, for every run of the tests: the zones with the oddest clocks, a year in each."""

from datetime import date

import pytest

from tests.oracle.comparing import compared, jobs
from tests.oracle.cron_cases import FREQUENT

ODD = [
    ("Europe/Berlin", 2026),
    ("America/New_York", 2026),
    ("Australia/Lord_Howe", 2026),
    ("Africa/Casablanca", 2026),
    ("Asia/Beirut", 2026),
    ("America/Nuuk", 2023),
    ("Antarctica/Troll", 2026),
    ("Asia/Kathmandu", 2026),
    ("Pacific/Apia", 2011),
    ("America/Sao_Paulo", 2018),
    ("Asia/Pyongyang", 2018),
    ("Africa/Monrovia", 1972),
    ("Pacific/Kwajalein", 1993),
    ("Asia/Gaza", 2026),
]


@pytest.mark.parametrize(("zone", "year"), ODD, ids=[zone for zone, _ in ODD])
def test_schedules_agree_with_the_oracle(zone: str, year: int) -> None:
    (job,) = jobs([zone], first=date(year, 1, 1), years=1, count=55, seed=year, frequent=FREQUENT[:7])
    result = compared(job)
    assert not result.differences, "\n".join(result.differences)
    assert result.firings > 5_000
