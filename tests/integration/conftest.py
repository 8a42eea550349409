"""What the suites that need a database share: each of their tests runs once on SQLite and once on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import DATABASES, empty_database
from tests.support.logins import make_hashes_cheap


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    """The address of an empty database; `None` for the SQLite file that a home has by itself."""
    async with empty_database(request.param) as url:
        yield url


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hashes_cheap(monkeypatch)
