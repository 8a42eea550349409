"""Runs the scripts of the peers in their own environment, one after the other, each for a limited time."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import ROOT, child, scratch

PYTHON = ROOT / ".cache" / "bench" / "bin" / "python"
LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Peer:
    key: str
    """Name in the JSON."""
    title: str
    command: tuple[str, ...]
    limit: float
    """Seconds after which the script is ended."""


PEERS = (
    Peer("dbos_sqlite", "DBOS SQLite", ("benchmarks.peers.dbos_peer", "sqlite"), 180),
    Peer("dbos_postgres", "DBOS PostgreSQL", ("benchmarks.peers.dbos_peer", "postgres"), 180),
    Peer("celery_redis", "Celery Redis", ("benchmarks.peers.celery_peer",), 180),
    Peer("prefect_sqlite", "Prefect SQLite", ("benchmarks.peers.prefect_peer", "sqlite"), 420),
    Peer("prefect_postgres", "Prefect PostgreSQL", ("benchmarks.peers.prefect_peer", "postgres"), 240),
)

Report = dict[str, Any]
"""What a peer's script printed (`workloads.PeerReport`), or `{"error": why there is nothing}`."""


def peer_reports() -> dict[str, Report]:
    if not PYTHON.exists():
        return {peer.key: {"error": "not installed: `make bench` does it"} for peer in PEERS}
    return {peer.key: report_of(peer) for peer in PEERS}


def report_of(peer: Peer) -> Report:
    """Run one script to its end. A peer that cannot be measured here is reported, and does not hinder the others."""
    print(f"measuring {peer.title} …", file=sys.stderr, flush=True)
    with scratch() as folder:
        output = folder / "output"
        with child([str(PYTHON), "-W", "ignore", "-m", *peer.command], {}, output) as process:
            try:
                status = process.wait(peer.limit)
            except subprocess.TimeoutExpired:
                return {"error": f"took more than {peer.limit:g} s"}
        lines = output.read_text(errors="replace").splitlines()
    if status != 0:
        return {"error": " / ".join(line.strip() for line in lines[-LAST_LINES:]) or f"exit status {status}"}
    report: Report = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
    return report
