"""Three processes on one PostgreSQL under load, while they and the database are killed, stopped and held up at random.

What must hold all the same is in `chaos/judge.py`. `make chaos SECONDS=60 SEED=7` does more of it, with usual leases.
"""

import os
from pathlib import Path

import pytest

from tests.fault.chaos.story import RECOVERS_WITHIN, Plan, chaos

SEED = int(os.environ.get("MILLRACE_TEST_CHAOS_SEED", "20260198"))
"""By this one each of three whole processes begins with another fault, at once."""
SECONDS = 20.0
LEASE = 5

BUSY_MACHINE = 2.0
"""Times the recovery may take longer where other tests have the processors, too."""


@pytest.mark.service("postgres")
@pytest.mark.timeout(400)
def test_nothing_is_lost_or_done_twice_whatever_happens_to_three_processes_and_their_database(tmp_path: Path) -> None:
    verdict = chaos(Plan(SEED, SECONDS, LEASE), tmp_path)
    print(verdict.told)
    assert verdict.problems == []
    assert verdict.recovered <= RECOVERS_WITHIN * BUSY_MACHINE
