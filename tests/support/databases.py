"""The databases that Millrace runs on, for fixtures that open it once on each: the rest of a test knows neither."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.postgres import fresh_database

POSTGRES = pytest.param("postgres", marks=pytest.mark.service("postgres"))
DATABASES = ["sqlite", POSTGRES]
"""Parameters of the fixture `database_url`."""

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("database_url", [POSTGRES], indirect=True)
"""For tests of what only one of them has."""

EVERYWHERE = os.environ.get("MILLRACE_TEST_EVERYWHERE") == "1"
MOSTLY_ON_SQLITE = pytest.mark.parametrize("database_url", DATABASES if EVERYWHERE else ["sqlite"], indirect=True)
"""For tests of what is asked and answered rather than of what is stored, of which others see to it on both: the gate
spends its time on those. With `MILLRACE_TEST_EVERYWHERE=1` these, too, run on both."""


@asynccontextmanager
async def empty_database(kind: str) -> AsyncIterator[str | None]:
    """The address of an empty database, whose clock is the real one; `None` for the file that a home has by itself."""
    if kind == "sqlite":
        yield None
        return
    async with fresh_database(clock=False) as url:
        yield url
