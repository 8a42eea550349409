"""How long the server takes to refuse what it cannot take: the corpus of `tests/corpus` against a real process.

    .venv/bin/python -m benchmarks.bad_input [--slowest N]

The figure is that of the slowest case. Each case is sent three times, each time over a connection of its own that is
open already, and its median counts, from the first byte sent to the last one received. An answer that is not the one
expected ends the measurement: a quick wrong answer would be no figure.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.server import server
from benchmarks.workloads import Effort, Figures, Samples
from tests.corpus.ground import prepare
from tests.corpus.reading import Case, all_cases
from tests.corpus.sending import Server

TIMES = 3
SHOWN = 10
OF_A_TRIAL = 40
"""Where nothing is measured twice, only one case of so many is sent: the tests send them all."""


@dataclass(frozen=True, slots=True)
class Refusal:
    name: str
    milliseconds: float


def refusals(folder: Path, times: int = TIMES, *, every: int = 1) -> list[Refusal]:
    """Every case with its time, or one of `every` so many, the slowest first."""
    home = folder / "bad_input"
    home.mkdir()
    with server(home, MILLRACE_APPLY_EXAMPLES="false") as (_pid, port, _seconds):
        target = prepare(port, (home / "api-key").read_text().strip())
        measured = [Refusal(case.name, refused(target, case, times)) for case in all_cases()[::every]]
    return sorted(measured, key=lambda refusal: refusal.milliseconds, reverse=True)


def refused(target: Server, case: Case, times: int) -> float:
    answers = [target.send(case) for _ in range(times)]
    for answer in answers:
        if answer.status != case.status:
            raise RuntimeError(f"{case.name}: {answer.status} instead of {case.status}: {answer.body[:500].decode()}")
    return median(answer.seconds for answer in answers) * 1e3


def bad_input_figures(folder: Path, effort: Effort) -> Figures:
    every = 1 if effort.repeats > 1 else OF_A_TRIAL
    slowest = refusals(folder, min(TIMES, effort.repeats), every=every)[0]
    return {"bad_input_ms": Samples((slowest.milliseconds,), of=slowest.name)}


def main(shown: int) -> None:
    with scratch() as folder:
        measured = refusals(folder)
    for refusal in measured[:shown]:
        print(f"{refusal.milliseconds:8.1f} ms  {refusal.name}")
    print(f"{len(measured)} cases")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bad_input", description="The slowest refusals.")
    parser.add_argument("--slowest", type=int, default=SHOWN, metavar="N", help="how many are shown")
    end_in_order_when_told()
    main(parser.parse_args().slowest)
