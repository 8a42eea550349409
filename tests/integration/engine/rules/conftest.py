"""A kit of one process with sixteen slots; tests that need another make their own. These run on a real event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.integration.engine.rules.rules_kit import Kit, engine_kit


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"real": asyncio.new_event_loop}


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with engine_kit(tmp_path) as made:
        yield made
