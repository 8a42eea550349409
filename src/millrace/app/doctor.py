"""The doctor: what cannot be in the database, and where it and the object store do not agree. Reading only."""

from collections.abc import Awaitable, Callable

from millrace.app.artifacts.checking import ArtifactChecks
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.objects import ObjectStoreUnavailable

CheckDatabase = Callable[[], Awaitable[JsonObject]]
"""Checks the database: `{"checks": count, "problems": [{"code", "run_id", "message", "remedy"}]}`."""


class Doctor:
    def __init__(self, check_database: CheckDatabase, artifacts: ArtifactChecks) -> None:
        self._check_database = check_database
        self._artifacts = artifacts

    async def examine(self, *, deep: bool = False) -> JsonObject:
        """What was found, with `warnings`: what is not as it should be, but does no harm.

        `deep` reads all artifacts to the end; else only a sample of them is looked at.
        """
        report = await self._check_database()
        listed = report["problems"]
        assert isinstance(listed, list), "as `CheckDatabase` says"  # noqa: S101
        problems: list[JsonValue] = [*listed]
        warnings: list[JsonValue] = []
        try:
            found = await self._artifacts.examine(deep=deep)
        except ObjectStoreUnavailable as error:
            problems.append(_unavailable(str(error)))
        else:
            problems += found.problems.listed()
            warnings += found.warnings.listed()
        return {
            "checks": int(str(report["checks"])) + ArtifactChecks.count,
            "problems": problems,
            "warnings": warnings,
        }


def _unavailable(message: str) -> JsonObject:
    return {
        "code": "object_store_unavailable",
        "run_id": None,
        "message": message,
        "remedy": "Artifacts and large payloads cannot be read until it works again.",
    }
