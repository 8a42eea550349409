"""The doctor: what cannot be in the database, and where it and the object store do not agree. Reading only."""

from collections.abc import Awaitable, Callable

from millrace.app.archive.checking import ArchiveChecks
from millrace.app.artifacts.checking import ArtifactChecks
from millrace.app.readable_by_tasks import readable_warnings
from millrace.core.errors import Conflict
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.confinement import ShellRules
from millrace.ports.doctor import Step, Tell, unheard

CheckDatabase = Callable[[Tell], Awaitable[JsonObject]]
"""Checks the database, and tells each check when it begins.

Answers `{"checks": count, "problems": [{"code", "run_id", "message", "remedy"}], "warnings": [like problems]}`."""


class Doctor:
    def __init__(
        self, check_database: CheckDatabase, artifacts: ArtifactChecks, archives: ArchiveChecks, rules: ShellRules
    ) -> None:
        self._rules = rules
        self._check_database = check_database
        self._artifacts = artifacts
        self._archives = archives
        self._deep_under_way = False

    async def examine(self, *, deep: bool = False, tell: Tell = unheard) -> JsonObject:
        """What was found, with `warnings`: what is not as it should be, but does no harm.

        `tell` hears of each check when it begins. `deep` reads all artifacts and archives to the end; else only a
        sample of them is looked at. Raises `Conflict` for a second deep round at the same time: any number of them
        would leave the disk to nobody else.
        """
        if not deep:
            return await self._examine(tell, deep=False)
        if self._deep_under_way:
            raise Conflict(
                "doctor_busy",
                "a deep round is under way already, and reads every artifact; "
                "ask again when it has ended, or without `deep`, for a sample of them",
            )
        self._deep_under_way = True
        try:
            return await self._examine(tell, deep=True)
        finally:
            self._deep_under_way = False

    async def _examine(self, tell: Tell, *, deep: bool) -> JsonObject:
        of_objects = ArtifactChecks.count + ArchiveChecks.count
        report = await self._check_database(lambda step: tell(Step(step.check, step.number, step.of + of_objects)))
        checks = int(str(report["checks"]))
        listed, warned = report["problems"], report.get("warnings", [])
        assert isinstance(listed, list), "as `CheckDatabase` says"  # noqa: S101
        assert isinstance(warned, list), "as `CheckDatabase` says"  # noqa: S101
        count = checks + of_objects
        found = await self._artifacts.examine(
            deep=deep, tell=lambda step: tell(Step(step.check, step.number + checks, count))
        )
        before = checks + ArtifactChecks.count
        unreadable = await self._archives.examine(
            deep=deep, tell=lambda step: tell(Step(step.check, step.number + before, count))
        )
        problems: list[JsonValue] = [*listed, *found.problems.listed(), *unreadable]
        if found.store_away is not None:
            problems.append(_unavailable(found.store_away))
        return {
            "checks": count,
            "problems": problems,
            "warnings": [*warned, *found.warnings.listed(), *readable_warnings(self._rules)],
        }


def _unavailable(message: str) -> JsonObject:
    return {
        "code": "object_store_unavailable",
        "run_id": None,
        "message": message,
        "remedy": "Artifacts and large payloads cannot be read until it works again.",
    }
