"""`python -m benchmarks [--quick] [--json FILE]`: measure, print tables, write the figures. `make bench` calls it.

`--quick` measures Millrace alone and ends within 45 s. Without it also idle processor time, growth and the peers.
Two measurements never run at the same time.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.embedded import FULL, QUICK, TRIAL, embedded_figures
from benchmarks.on_postgres import is_trial, postgres_figures, scale
from benchmarks.postgres_server import NotMeasured
from benchmarks.processes import end_in_order_when_told
from benchmarks.side_by_side import Report, peer_reports
from benchmarks.table import POSTGRES_TARGETS, figures_table, peers_table, settings_lines
from benchmarks.workloads import Effort, Figures, Samples, medians, ranges

BUSY = 0.5
"""Load of the machine beyond which the figures say more about other programs than about this one."""


def main() -> None:
    options = arguments()
    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"the machine is busy (load {load:.2f}): expect worse figures than it can give", file=sys.stderr)
    figures = embedded_figures(effort(quick=options.quick), quick=options.quick)
    if not options.quick:
        now, then = figures["throughput_at_1m_tasks_s"], figures["throughput_at_0_tasks_s"]
        figures["growth_ratio"] = Samples((now.median / then.median,))
    print(figures_table(figures))
    result: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": load},
        "embedded": {**medians(figures), "ranges": ranges(figures)},
    }
    on_postgres = measured_on_postgres(quick=options.quick)
    result["postgres"] = for_json(on_postgres)
    if not options.quick:
        reports = peer_reports()
        result["peers"] = reports
        print(f"\n{peers_table(figures, reports)}\n\n{settings_lines(reports)}")
        if not isinstance(on_postgres, str):
            print(f"\non the same PostgreSQL\n{peers_table(on_postgres, of_postgres(reports), POSTGRES_TARGETS)}")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def effort(*, quick: bool) -> Effort:
    if is_trial(quick=quick):
        return TRIAL
    return QUICK if quick else FULL


def measured_on_postgres(*, quick: bool) -> Figures | str:
    """The figures, which are printed; or why there are none."""
    try:
        figures = postgres_figures(effort(quick=quick), scale(quick=quick))
    except NotMeasured as error:
        print(f"\non PostgreSQL: not measured: {error}")
        return str(error)
    print(f"\non PostgreSQL\n{figures_table(figures, POSTGRES_TARGETS)}")
    return figures


def for_json(figures: Figures | str) -> dict[str, Any]:
    return {"error": figures} if isinstance(figures, str) else {**medians(figures), "ranges": ranges(figures)}


def of_postgres(reports: dict[str, Report]) -> dict[str, Report]:
    return {key: report for key, report in reports.items() if key.endswith("_postgres")}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Millrace, and peers beside it.")
    parser.add_argument("--quick", action="store_true", help="Millrace alone, within 45 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    end_in_order_when_told()
    main()
