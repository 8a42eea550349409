"""All figures of Millrace itself: one process, SQLite with `synchronous=FULL`, default settings.

One measurement at a time: the parts run one after the other and nothing is left running between them.
"""

import os
from pathlib import Path

import uvloop

from benchmarks.bad_input import bad_input_figures
from benchmarks.engine import workload_figures
from benchmarks.firing import firing_figures
from benchmarks.growth import growth_figures
from benchmarks.language import definition_figures, language_figures, reference_figures
from benchmarks.lists import Extent, Place, list_figures
from benchmarks.processes import scratch
from benchmarks.raw_sqlite import commit_figures
from benchmarks.retention import retention_figures
from benchmarks.routing import routing_figures
from benchmarks.server import http_figures, life_figures
from benchmarks.webhooks import webhook_figures
from benchmarks.workloads import Effort, Figures

QUICK = Effort(repeats=5)
FULL = Effort(repeats=9)
TRIAL = Effort(repeats=1)
"""To see that everything works; the figures say little."""


def embedded_figures(effort: Effort, *, quick: bool) -> Figures:
    """Quick leaves out what takes long: idle processor time and growth."""
    forget_settings()
    with scratch() as folder:
        figures = commit_figures(folder, effort)
        figures |= uvloop.run(workload_figures(made(folder / "engine"), effort))
        figures |= life_figures(folder, starts=effort.repeats, with_cpu=not quick)
        figures |= http_figures(folder, effort)
        figures |= bad_input_figures(folder, effort)
        figures |= {**definition_figures(), **reference_figures()}
        if not quick:
            figures |= language_figures(Place.on_sqlite(made(folder / "language")))
            figures |= firing_figures(folder)
            figures |= webhook_figures(folder)
            figures |= uvloop.run(growth_figures(made(folder / "growth"), effort))
            figures |= uvloop.run(retention_figures(made(folder / "retention")))
            figures |= list_figures(Place.on_sqlite(folder / "lists"), Extent())
            figures |= routing_figures(Place.on_sqlite(folder / "routing"))
    return figures


def forget_settings() -> None:
    """Default settings are measured, whatever the caller's shell has set for its own installation."""
    for name in list(os.environ):
        if name.startswith("MILLRACE_") or name in {"DATABASE_URL", "LOG_LEVEL"}:
            del os.environ[name]


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
