"""A fault at every single commit of a story, one after the other: for one process, and for two that share the store."""

from dataclasses import replace

import pytest

from millrace.core.values import SECOND
from millrace.roles import Role
from tests.simulation.process import Kind
from tests.simulation.simulating import simulate
from tests.simulation.weather import Weather

ONE = Kind(Role.UP, slots=2, queues=("*",), interval=2.0, type_limits=False)
SEED = "boundaries 34"
CALM = Weather(
    embedded=True, kinds=(ONE,), fates=(), share=0.0, latency=1_000, lost_hints=0.0, acts=(), trouble=20 * SECOND
)  # fmt: skip


@pytest.mark.parametrize("fate", ["crash before", "crash after", "answer lost"])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_fault_at_every_single_commit_is_survived(fate: str, processes: int) -> None:
    weather = replace(CALM, embedded=processes == 1, kinds=(ONE,) * processes)
    commits = simulate(SEED, weather).commits
    assert commits > 20, "the story is too small for this to mean anything"
    deaths = 0
    for boundary in range(1, commits + 1):
        try:
            deaths += simulate(SEED, replace(weather, fates=(fate,), crash_at=boundary)).deaths
        except AssertionError as error:
            raise AssertionError(f"{fate} commit {boundary}: {error}") from error
    assert fate == "answer lost" or deaths >= commits - 1, "the last commit may come when all is over"
