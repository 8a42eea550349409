"""The databases that must keep the promises of `ports.store`. Each test runs once on each of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance import kits
from tests.conformance.kits import Kit

KITS = {"sqlite": kits.sqlite, "postgres": kits.postgres}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service("postgres"))])
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    async with KITS[request.param](tmp_path) as opened:
        yield opened
