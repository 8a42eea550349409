"""The load: callers that start runs without pause, each under a key of its own, and control some of them.

A request that is not answered is repeated, at any process, until it is. So every run that was asked for is accepted in
the end, and a request that was carried out without an answer must not have been carried out twice.
"""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.fault.chaos.workflows import Workflow

ANSWERS_WITHIN = 3.0
"""Seconds; a process that stands still takes a connection and says nothing."""
PATIENCE = 90.0
"""Seconds after which a request that is repeated all the time counts as never answered."""
REST = 0.2
"""Seconds before a request is repeated."""
BETWEEN_STARTS = 0.7
"""Seconds on average, for each caller."""


@dataclass
class Told:
    """What the callers were told, in all."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Runs by key."""
    workflow: dict[str, str] = field(default_factory=dict)
    """Of each run that was asked for, by key."""
    strange: list[str] = field(default_factory=list)
    """Answers that nobody should get, whatever happens."""
    unanswered: int = 0
    repeated: set[str] = field(default_factory=set)
    """Paths of requests that were sent more than once."""


class Caller(threading.Thread):
    def __init__(self, seed: str, urls: Sequence[str], api_key: str, workflows: Sequence[Workflow], told: Told) -> None:
        super().__init__(name=seed, daemon=True)
        self.over = threading.Event()
        self._random = random.Random(seed)
        self._urls = urls
        self._client = httpx2.Client(headers={"X-API-Key": api_key}, timeout=ANSWERS_WITHIN, trust_env=False)
        self._workflows = [workflow for workflow in workflows if workflow.weight]
        self._told = told

    def run(self) -> None:
        number = 0
        with self._client:
            while not self.over.wait(self._random.expovariate(1 / BETWEEN_STARTS)):
                (workflow,) = self._random.choices(self._workflows, [one.weight for one in self._workflows])
                number += 1
                self._one(f"{self.name}-{number}", workflow)

    def _one(self, key: str, workflow: Workflow) -> None:
        self._told.workflow[key] = workflow.name
        chosen = {name: self._random.choice(values) for name, values in workflow.input.items()}
        started = self._ask(f"/workflows/{workflow.name}/execute", {"input": chosen}, key)
        if started is None or started.status_code not in (200, 202):
            return self._wonder(key, started)
        run_id = self._told.accepted[key] = started.json()["id"]
        if workflow.control is not None:
            self._control(run_id, workflow.control)

    def _control(self, run_id: str, what: str) -> None:
        time.sleep(self._random.uniform(0, 0.5))
        asked = [what] if what == "cancel" else [what, "resume"]
        for word in asked:
            answer = self._ask(f"/runs/{run_id}/{word}", {})
            # It may have ended meanwhile.
            if answer is None or answer.status_code not in (202, 409):
                self._wonder(f"{word} of {run_id}", answer)
            time.sleep(self._random.uniform(0, 0.5))

    def _ask(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx2.Response | None:
        """The answer of some process, which may be the second to do what was asked; none if nobody ever answers."""
        headers = {} if key is None else {"Idempotency-Key": key}
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            url = f"{self._random.choice(self._urls)}/api/v1{path}"
            try:
                answer = self._client.post(url, json=body, headers=headers)
            except httpx2.HTTPError:
                self._told.unanswered += 1
                self._told.repeated.add(path)
                time.sleep(REST)
                continue
            if answer.status_code != 503:
                return answer
            time.sleep(REST)
        return None

    def _wonder(self, what: str, answer: httpx2.Response | None) -> None:
        said = "no answer" if answer is None else f"{answer.status_code} {answer.text}"
        self._told.strange.append(f"{what}: {said}")
