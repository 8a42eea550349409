"""`make bench QUICK=1 JSON=FILE` gives every figure that others rely on; what they are is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import EVERYWHERE

REPOSITORY = Path(__file__).parents[2]

FIGURES = {
    "chain40_ms", "throughput_tasks_s", "fanout500_ms", "start_ms", "start_http_ms", "idle_rss_mb", "ready_s",
    "commits_per_task", "commit41_ms", "bad_input_ms",
}  # fmt: skip


ON_POSTGRES = {"chain40_ms", "throughput_tasks_s", "fanout500_ms", "start_ms", "throughput_two_tasks_s"}
AT_SCALE = {"claimed_ratio", "claim_p99_ratio", "lists_p95_ms", "doctor_at_1m_s", "retention_p99_ratio"}
"""What is measured beside many runs takes half a minute more: with `MILLRACE_TEST_EVERYWHERE=1` only."""


@pytest.mark.timeout(900)
@pytest.mark.service("postgres")
def test_the_quick_benchmark_writes_its_figures(tmp_path: Path) -> None:
    place = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(place)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=890,
        env={**os.environ, "BENCH_POSTGRES_SCALE": "small" if EVERYWHERE else "trial"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(place.read_text())
    assert all(written["postgres"][name] > 0 for name in ON_POSTGRES | (AT_SCALE if EVERYWHERE else set()))
    assert written["postgres"]["two_processes_share"] >= 0, "of so few runs the other process may get none"
    figures = written["embedded"]
    assert set(figures) >= FIGURES
    assert all(figures[name] > 0 for name in FIGURES)
    assert figures["commits_per_task"] < 0.5, "commits are not grouped"
    assert figures["chain_commits_per_task"] < 1.1, "a chain costs more than a commit a task"
