"""The tables of legal edges, and the one function that walks them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from millrace.core.states import (
    ATTEMPT_EDGES,
    FINISHED_ATTEMPT,
    FINISHED_RUN,
    FINISHED_TASK,
    LIVE_ATTEMPT,
    RUN_EDGES,
    TASK_EDGES,
    AttemptStatus,
    IllegalTransition,
    RunStatus,
    TaskStatus,
    step,
)

MACHINES: list[tuple[type[StrEnum], Mapping[Any, Mapping[Any, str]], StrEnum]] = [
    (RunStatus, RUN_EDGES, RunStatus.PENDING),
    (TaskStatus, TASK_EDGES, TaskStatus.PENDING),
    (AttemptStatus, ATTEMPT_EDGES, AttemptStatus.SCHEDULED),
]


@pytest.mark.parametrize(("statuses", "edges", "first"), MACHINES)
def test_every_status_has_its_row_and_can_be_reached(
    statuses: type[StrEnum], edges: Mapping[Any, Mapping[Any, str]], first: StrEnum
) -> None:
    assert set(edges) == set(statuses)
    reached = {first} | {target for ways_out in edges.values() for target in ways_out}
    assert reached == set(statuses)


@pytest.mark.parametrize(("statuses", "edges", "first"), MACHINES)
def test_every_edge_says_why(statuses: type[StrEnum], edges: Mapping[Any, Mapping[Any, str]], first: StrEnum) -> None:
    assert all(reason for ways_out in edges.values() for reason in ways_out.values())


def test_the_finished_statuses_are_the_documented_ones() -> None:
    assert {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED} == FINISHED_RUN
    assert {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED} == FINISHED_TASK
    assert {AttemptStatus.SCHEDULED, AttemptStatus.RUNNING} == LIVE_ATTEMPT
    assert set(AttemptStatus) - LIVE_ATTEMPT == FINISHED_ATTEMPT


def test_a_step_along_an_edge_gives_the_target() -> None:
    assert step(RUN_EDGES, RunStatus.PENDING, RunStatus.RUNNING) is RunStatus.RUNNING


def test_a_step_without_an_edge_is_loud() -> None:
    with pytest.raises(IllegalTransition, match="RunStatus: completed -> running"):
        step(RUN_EDGES, RunStatus.COMPLETED, RunStatus.RUNNING)
