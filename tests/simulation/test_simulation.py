"""Random workflows under random faults, by seed: a fixed number here, as many as you like by `make simulate`.

A seed is a whole installation, in one thread and on a clock that is moved by hand: one process after another as on
SQLite, or several at a time as on PostgreSQL, over one database in memory. Callers start, cancel, pause, resume and
repeat runs; processes die, stop and stand still; the clock jumps; the database is away, slow, full, or answers and is
not heard; hints are lost, late and doubled. After every write the invariants are checked (`invariants`). In the end the
world is left in peace, and everything that was accepted must finish.

`MILLRACE_SIMULATION_SEEDS` says how many seeds are tried here. One that finds something is replayed, step by step, by
`make simulate SEED=…`: the same seed is the same story in every process.
"""

import os
import subprocess
import sys

import pytest

from tests.simulation import __main__ as command
from tests.simulation.simulating import simulate
from tests.simulation.world import Found

SEEDS = int(os.environ.get("MILLRACE_SIMULATION_SEEDS", "60"))
AT_A_TIME = 20


@pytest.mark.parametrize("first", range(0, SEEDS, AT_A_TIME))
def test_whatever_fails_every_accepted_run_finishes_and_every_invariant_holds_after_every_write(first: int) -> None:
    for seed in range(first, min(first + AT_A_TIME, SEEDS)):
        try:
            simulate(str(seed))
        except AssertionError as error:
            raise AssertionError(f"make simulate SEED={seed}: {error}") from error


@pytest.mark.parametrize("seed", ["3", "8", "11"])
def test_a_seed_tells_the_same_story_every_time(seed: str) -> None:
    first: list[str] = []
    second: list[str] = []
    told = simulate(seed, tell=first.append)
    assert simulate(seed, tell=second.append) == told
    assert first == second
    assert len(first) > 100, "a story is told step by step"


def test_other_seeds_tell_other_stories() -> None:
    assert len({simulate(seed).digest for seed in ("3", "8", "11")}) == 3


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    """Also where the order of sets is another."""
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "8"],
            env={**os.environ, "PYTHONHASHSEED": order},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for order in ("1", "2")
    ]
    assert told[0] == told[1]
    assert simulate("8").digest in told[0]


def test_a_find_ends_the_search_and_is_told_with_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(seed: str) -> None:
        raise Found(f"what {seed} found")

    monkeypatch.setattr(command, "simulate", found)
    part = command.simulated(range(7, 20))
    assert (part.seeds, part.found) == (0, "seed 7: what 7 found\nreplay it: make simulate SEED=7")
