"""When the first instruction of a task ran: a no-op task that also reads the clock.

The runner of `noop` tasks is given a `run` that notes the time before it does what it always does. Everything
around it — definition, engine, store, worker — is the product as it is. Run as a module, this is `millrace up` with
the probe, for the start latency over HTTP: the time comes back as the task's output.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from pydantic import BaseModel

from millrace.ports.runner import Completed, Outcome, RunnerContext
from millrace.runners.noop import NoopRunner

OUTPUT = "ran_at"
"""Name of the time in the task's output: seconds of the clock that all processes of a machine share."""


@contextmanager
def noted() -> Iterator[list[float]]:
    """While this lasts, every no-op task appends the time of its first instruction to the list."""
    times: list[float] = []

    async def run(_self: NoopRunner, _config: BaseModel, _context: RunnerContext) -> Outcome:
        now = time.monotonic()
        times.append(now)
        return Completed({OUTPUT: now})

    with patch.object(NoopRunner, "run", run):
        yield times


def main() -> None:
    from millrace.cli.main import main as millrace

    sys.argv = ["millrace", "up"]
    with noted():
        millrace()


if __name__ == "__main__":
    main()
