"""The installation that the tests of the API talk to, and a client with its administrator's key.

On SQLite, since the suites below this one see to what is stored on both databases; also on PostgreSQL where a module or
a test has the mark `both_databases`, and everywhere with `MILLRACE_TEST_EVERYWHERE=1`.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.support.databases import DATABASES, EVERYWHERE, empty_database
from tests.support.installation import Installation, installation


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = any(mark.args[0] == "database_url" for mark in metafunc.definition.iter_markers("parametrize"))
    if "database_url" in metafunc.fixturenames and not chosen:
        both = EVERYWHERE or metafunc.definition.get_closest_marker("both_databases")
        metafunc.parametrize("database_url", DATABASES if both else ["sqlite"], indirect=True)


@pytest.fixture
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    async with empty_database(request.param) as url:
        yield url


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url) as running:
        yield running


@pytest.fixture
async def api(millrace: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with millrace.client() as client:
        yield client
