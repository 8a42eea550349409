"""Three processes on one PostgreSQL under load, while they and the database are killed, stopped and held up at random.

What must hold all the same is in `chaos/judge.py`, among it that every run finishes. `make chaos SECONDS=60 SEED=7`
does more of it, with usual leases, and also asks for a quick recovery, for which a machine must do nothing else.
"""

import os
from pathlib import Path

import pytest

from tests.fault.chaos.story import Plan, chaos

SEED = int(os.environ.get("MILLRACE_TEST_CHAOS_SEED", "20260198"))
"""By this one each of three whole processes begins with another fault, at once."""
SECONDS = 12.0
LEASE = 5


@pytest.mark.service("postgres")
@pytest.mark.timeout(600)
def test_nothing_is_lost_or_done_twice_whatever_happens_to_three_processes_and_their_database(tmp_path: Path) -> None:
    verdict = chaos(Plan(SEED, SECONDS, LEASE), tmp_path)
    print(verdict.told)
    assert verdict.problems == []
