"""A kit of one process with sixteen slots; tests that need another make their own. These run on a real event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.integration.engine.rules.rules_kit import Kit, engine_kit
from tests.support.databases import DATABASES


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"real": asyncio.new_event_loop}


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
async def kit(kind: str, tmp_path: Path) -> AsyncIterator[Kit]:
    async with engine_kit(kind, tmp_path) as made:
        yield made
