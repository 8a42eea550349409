"""Runs that are repeated, with tasks that leave traces outside of Millrace: so it is seen what was done twice.

A task of `fails` leaves its trace and fails, until it is said to be `mended`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.routing_kit import Millrace

Task = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repeats:
    millrace: Millrace
    folder: Path

    def works(self, name: str, trace: str | None = None, **fields: Any) -> Task:
        """A task that leaves a trace, which may be a template, and answers it as `stdout`."""
        return self._shell(name, trace, 'echo "$TRACE" | tee -a "$FOLDER/done"', fields)

    def fails(self, name: str, trace: str | None = None, *, only: str = "{{ true }}", **fields: Any) -> Task:
        """As `works`, but it fails where `only` holds."""
        command = 'echo "$TRACE" | tee -a "$FOLDER/done"; test "$ONLY" = false -o -e "$FOLDER/mended"'
        return self._shell(name, trace, command, fields, ONLY=only)

    def _shell(self, name: str, trace: str | None, command: str, fields: Task, **env: str) -> Task:
        env = {"TRACE": trace or name, "FOLDER": str(self.folder), **env}
        return {"id": name, "type": "shell", "config": {"command": command, "env": env}, **fields}

    def mend(self) -> None:
        (self.folder / "mended").touch()

    def done(self) -> list[str]:
        """The traces since they were last asked for."""
        place = self.folder / "done"
        found = place.read_text().split() if place.exists() else []
        place.unlink(missing_ok=True)
        return found

    async def start(self, workflow: str, **given: Any) -> str:
        started = await self.millrace.post(f"/workflows/{workflow}/execute", input=given)
        run: str = started["id"]
        return run

    async def ends(self, run: str, status: str) -> Task:
        """The run, when it has ended so."""

        async def over() -> Task | None:
            found: Task = await self.millrace.get(f"/runs/{run}")
            return found if found["finished_at"] else None

        found: Task = await self.millrace.until(over)
        assert found["status"] == status, found["error"]
        return found

    async def fails_once(self, workflow: str, **given: Any) -> str:
        """A run of the workflow that has failed."""
        run = await self.start(workflow, **given)
        await self.ends(run, "failed")
        return run

    async def again(self, run: str, status: str, how: str = "retry", **body: Any) -> Task:
        """The end of a run that repeats another."""
        new = await self.millrace.post(f"/runs/{run}/{how}", **body)
        return await self.ends(new["id"], status)

    async def tasks(self, run: str) -> dict[str, Task]:
        found: list[Task] = (await self.millrace.get(f"/runs/{run}/tasks", limit=200))["items"]
        return {task["path"]: task for task in found}

    async def adopted(self, run: str) -> set[str]:
        return {path for path, task in (await self.tasks(run)).items() if task["adopted_from"]}

    async def waits(self, run: str, path: str) -> None:
        """Returns when the task waits."""

        async def waiting() -> bool:
            return bool((await self.tasks(run)).get(path, {}).get("status") == "waiting")

        await self.millrace.until(waiting)

    async def decide(self, run: str, path: str = "ask", *, approved: bool = True, **body: Any) -> None:
        await self.waits(run, path)
        decision = "approve" if approved else "reject"
        await self.millrace.post(f"/runs/{run}/tasks/{path}/decision", decision=decision, **body)

    async def asked(self) -> int:
        """How many approvals wait."""
        return len((await self.millrace.get("/approvals"))["items"])


def told(run: Mapping[str, Any]) -> dict[str, str]:
    """What is done again though it was done, with why."""
    return {one["task"]: one["reason"] for one in run["done_again"]}
