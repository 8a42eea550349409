"""The figures as tables for people: ours against bar and aim, and the peers side by side with the ratio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.side_by_side import PEERS, Report
from benchmarks.workloads import Figures

CHAIN_FACTOR = 3
"""Chain-40 also passes when it takes at most this many times the 41 raw commits of the same benchmark."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be. `higher` tells which side of it is the good one."""

    bar: float
    aim: float | None = None
    higher: bool = False

    def met(self, value: float, limit: float) -> bool:
        return value >= limit if self.higher else value <= limit


LANGUAGE_TARGETS = {
    "loop_s": Target(3),
    "loop_memory_mb": Target(150),
    "definition_1000_ms": Target(100),
    "reference_us": Target(10),
    "waiting_memory_mb": Target(1_000),
    "waiting_idle_cpu_percent": Target(1),
    "wake_p50_ms": Target(5),
}
TARGETS = {
    "chain40_ms": Target(25, 15),
    "throughput_tasks_s": Target(6_000, 10_000, higher=True),
    "fanout500_ms": Target(60, 35),
    "start_ms": Target(1.5, 1),
    "start_http_ms": Target(5, 3),
    "idle_rss_mb": Target(130, 100),
    "ready_first_s": Target(2.5),
    "ready_s": Target(1.5),
    "idle_cpu_percent": Target(1),
    "growth_ratio": Target(0.8, higher=True),
    "retention_p99_ratio": Target(2),
    "lists_p95_ms": Target(30),
    "ready_at_1m_s": Target(2),
    "doctor_at_1m_s": Target(20),
    "bad_input_ms": Target(100),
    "schedules_idle_cpu_percent": Target(1),
    "firing_delay_p99_ms": Target(200),
    "webhook_start_ms": Target(8),
    "webhooks_s": Target(800, higher=True),
    "webhook_p99_ms": Target(100),
    "routing_p99_ms": Target(2),
    "deploy_p95_ms": Target(50),
    **LANGUAGE_TARGETS,
}
POSTGRES_TARGETS = {
    "chain40_ms": Target(45, 28),
    "throughput_tasks_s": Target(4_000, 8_000, higher=True),
    "fanout500_ms": Target(120, 60),
    "start_ms": Target(3, 2),
    "two_processes_ratio": Target(1, higher=True),
    "claim_p99_ratio": Target(1.2),
    "claimed_ratio": Target(1.2),
    "retention_p99_ratio": Target(2),
    "lists_p95_ms": Target(50),
    "ready_at_1m_s": Target(2),
    "doctor_at_1m_s": Target(20),
    "routing_p99_ms": Target(2),
    "deploy_p95_ms": Target(50),
    **LANGUAGE_TARGETS,
}
COMPARED = ("chain40_ms", "throughput_tasks_s", "fanout500_ms", "start_ms")


def figures_table(figures: Figures, targets: Mapping[str, Target] = TARGETS) -> str:
    rows = [("", "median", "min", "max", "n", "bar", "aim", "")]
    for name, samples in figures.items():
        target = target_of(name, figures, targets)
        title = f"{name} ({samples.of})" if samples.of else name
        rows.append((
            title, number(samples.median), number(min(samples.values)), number(max(samples.values)),
            str(len(samples.values)), sided(target, target.bar if target else None),
            sided(target, target.aim if target else None), verdict(samples.median, target),
        ))  # fmt: skip
    return columns(rows)


def peers_table(figures: Figures, reports: Mapping[str, Report], targets: Mapping[str, Target] | None = None) -> str:
    """The four workloads, one column a system; in brackets how many times better Millrace is. With bars if given."""
    measured = [peer for peer in PEERS if "error" not in reports.get(peer.key, {"error": "not asked for"})]
    bars = ("bar", "aim") if targets else ()
    rows = [("", "Millrace", *(peer.title for peer in measured), *bars)]
    for name in COMPARED:
        ours = figures[name].median
        cells = (f"{number(theirs)} ({ratio(name, ours, theirs):.1f}x)" for theirs in
                 (float(reports[peer.key][name]) for peer in measured))  # fmt: skip
        target = targets.get(name) if targets else None
        limits = (sided(target, target.bar), sided(target, target.aim)) if target else ()
        rows.append((name, number(ours), *cells, *limits))
    return columns(rows)


def settings_lines(reports: dict[str, Report]) -> str:
    """Every system's durability settings and remarks; for one that was not measured, why."""
    lines = ["Millrace: SQLite, journal_mode=WAL, synchronous=FULL"]
    for peer in PEERS:
        report = reports[peer.key]
        if "error" in report:
            lines.append(f"{peer.title}: not measured: {report['error']}")
        else:
            lines.append("; ".join((f"{peer.title}: {report['durability']}", *report["notes"])))
    return "\n".join(lines)


def target_of(name: str, figures: Figures, targets: Mapping[str, Target]) -> Target | None:
    """The target, which for chain-40 depends on what the disk does."""
    target = targets.get(name)
    if name == "chain40_ms" and target is not None and "commit41_ms" in figures:
        return Target(max(target.bar, CHAIN_FACTOR * figures["commit41_ms"].median), target.aim)
    return target


def verdict(value: float, target: Target | None) -> str:
    if target is None:
        return ""
    if target.aim is not None and target.met(value, target.aim):
        return "aim met"
    return "bar met" if target.met(value, target.bar) else "BELOW BAR"


def ratio(name: str, ours: float, theirs: float) -> float:
    return ours / theirs if TARGETS[name].higher else theirs / ours


def sided(target: Target | None, limit: float | None) -> str:
    if target is None or limit is None:
        return ""
    return f"{'>=' if target.higher else '<='} {number(limit)}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Text in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )
