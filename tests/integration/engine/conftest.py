"""All tests of this folder run on virtual time, each with a database of its own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.databases import DATABASES
from tests.support.engine_kit import Kit
from tests.support.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], VirtualLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture(params=DATABASES)
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    async with Kit.opened(tmp_path, request.param) as kit:
        yield kit
