"""The installation that the tests of the API talk to, and a client with its administrator's key."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.support.installation import Installation, installation


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url) as running:
        yield running


@pytest.fixture
async def api(millrace: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with millrace.client() as client:
        yield client
