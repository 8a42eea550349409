"""What this disk can do without Millrace: 41 one-row commits with `synchronous=FULL`, by plain sqlite3.

The bar of chain-40 is relative to this figure, since a chain of 40 tasks costs 41 commits. It also tells how noisy
the disk is: where it varies by a factor, so will every figure that waits for commits.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.workloads import CHAIN_TASKS, Effort, Figures, milliseconds, repeat

COMMITS = CHAIN_TASKS + 1


def commit_figures(folder: Path, effort: Effort) -> Figures:
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("create table rows (id integer primary key, text text)")

        def commits() -> float:
            began = time.perf_counter()
            for _ in range(COMMITS):
                connection.execute("insert into rows (text) values ('one row')")
            return time.perf_counter() - began

        return {"commit41_ms": milliseconds(repeat(commits, effort))}
