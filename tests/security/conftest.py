"""The installation that is attacked, on SQLite unless a test asks for both databases, and its administrator."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from millrace.auth.permissions import Role
from tests.support.databases import empty_database
from tests.support.installation import Installation, installation
from tests.support.logins import key_of, make_hashes_cheap


@pytest.fixture
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    async with empty_database(getattr(request, "param", "sqlite")) as url:
        yield url


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None) -> AsyncIterator[Installation]:
    """Without the limit on guesses, which would answer most of them before what is to be tested is asked."""
    async with installation(tmp_path / "home", database_url, rate_limit_anonymous="off") as running:
        yield running


@pytest.fixture
async def api(millrace: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with millrace.client() as client:
        yield client


@pytest.fixture
async def keys(millrace: Installation) -> dict[Role, str]:
    """An API key of each role."""
    return {role: await key_of(millrace, role) for role in Role}


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hashes_cheap(monkeypatch)
