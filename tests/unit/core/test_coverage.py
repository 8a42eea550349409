"""Every branch of the core is taken by a test that says what should come of it.

Measured in a process of its own, over the example tests alone: the random ones of `tests/model` would reach most
branches too, but not the same ones each time, and without saying what each is for.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTS = ["tests/unit/core", "tests/model/test_readiness.py"]


def test_the_examples_take_every_branch_of_the_core(tmp_path: Path) -> None:
    measured = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS),
            f"--ignore={Path(__file__).relative_to(ROOT)}",
            *("--cov=millrace.core", "--cov-branch", "--cov-report=term-missing", "--cov-fail-under=100"),
        ],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert measured.returncode == 0, measured.stdout[-3000:] + measured.stderr[-1000:]
