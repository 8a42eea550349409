"""Everything that is measured on PostgreSQL: the same process and definitions as on SQLite, another database.

Each part has a database of its own (`postgres_server`). `Scale` says how large those are that shall be large; the
figures of a small one say that everything works, and nothing about how it grows.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.claims import claim_figures
from benchmarks.engine import workload_figures
from benchmarks.lists import Extent, Place, list_figures
from benchmarks.postgres_server import postgres_database
from benchmarks.processes import scratch
from benchmarks.retention import QUIET_STARTS, retention_figures
from benchmarks.routing import EVENTS, TRIGGERS, routing_figures
from benchmarks.sharing import RUNS, sharing_figures
from benchmarks.workloads import Effort, Figures, Samples


@dataclass(frozen=True, slots=True)
class Scale:
    finished: int
    waiting: int
    lists: Extent
    quiet_starts: int = QUIET_STARTS
    """Before retention begins to delete."""
    shared: int = RUNS
    """Runs that two processes share."""
    triggers: int = TRIGGERS
    """Of the type event."""
    events: int = EVENTS


LARGE = Scale(finished=1_000_000, waiting=100_000, lists=Extent())
SMALL = Scale(
    finished=100,
    waiting=1_000,
    lists=Extent(runs=300, workflows=6, requests=1, starts=1),
    quiet_starts=20,
    shared=150,
    triggers=100,
    events=10,
)


def scale(*, quick: bool) -> Scale | None:
    """What BENCH_POSTGRES_SCALE names; otherwise large ones, and with `--quick` none at all."""
    named = {"large": LARGE, "small": SMALL, "none": None, "trial": None}
    return named[os.environ.get("BENCH_POSTGRES_SCALE", "none" if quick else "large")]


def is_trial(*, quick: bool) -> bool:
    """Whether everything is only to be tried out: at a small scale, or, for `trial`, also without one."""
    return quick and os.environ.get("BENCH_POSTGRES_SCALE") in ("small", "trial")


def postgres_figures(effort: Effort, scale: Scale | None) -> Figures:
    """Raises `NotMeasured`."""
    with scratch() as folder:
        with postgres_database() as url:
            figures = uvloop.run(workload_figures(folder, effort, database_url=url))
        with postgres_database() as url:
            runs = RUNS if scale is None else scale.shared
            figures |= uvloop.run(sharing_figures(folder, url, Effort(max(1, effort.repeats // 2), runs=runs)))
        if scale is not None:
            figures["planted_runs"] = Samples((scale.finished,))
            figures |= figures_at_scale(folder, scale)
    return figures


def figures_at_scale(folder: Path, scale: Scale) -> Figures:
    figures = claim_figures(folder, scale.finished, scale.waiting)
    with postgres_database() as url:
        figures |= list_figures(Place(folder / "lists", url), scale.lists)
    with postgres_database() as url:
        figures |= routing_figures(Place(folder / "routing", url), scale.triggers, scale.events)
    with postgres_database() as url:
        figures |= uvloop.run(retention_figures(folder, scale.finished, scale.quiet_starts, database_url=url))
    return figures
