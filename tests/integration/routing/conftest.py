"""A whole Millrace for each test, on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.routing_kit import Millrace, millrace_on


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None) -> AsyncIterator[Millrace]:
    async with millrace_on(tmp_path / "home", database_url) as started:
        yield started
