"""What tests of the archive share: workflows whose runs go there, and what is found there then."""

import json
from typing import Any

import httpx2
from sqlalchemy import select

from millrace.app.archive.format import FOLDER
from millrace.storage.tables import archives
from tests.support.api import create, definition
from tests.support.installation import Installation

ARCHIVED = {"runs": "1ms", "archive": True}
LARGE = "x" * 100_000
"""More than a row takes."""


async def archived_workflow(api: httpx2.AsyncClient, name: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    return await create(api, {**definition(name, *tasks), "retention": ARCHIVED})


async def lines(api: httpx2.AsyncClient, run_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = await api.get(f"/api/v1/archive/runs/{run_id}/lines", params=query)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in found if line["kind"] == kind]


async def archive_rows(millrace: Installation) -> list[Any]:
    return list(await millrace.database.read(lambda connection: connection.execute(select(archives)).all()))


async def objects(millrace: Installation) -> list[str]:
    return [one.key async for one in millrace.objects.list(FOLDER)]


def strip(line: dict[str, Any], *also: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("kind", *also)}
