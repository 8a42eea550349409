"""All tests of this folder run on virtual time, each with a database of its own. It is Sunday noon, UTC."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.databases import DATABASES
from tests.support.trigger_kit import Process, TriggerKit
from tests.support.virtual_time import VirtualLoop

NOON = "2026-03-01T12:00:00Z"


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], VirtualLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture(params=DATABASES)
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TriggerKit]:
    async with TriggerKit.opened(tmp_path, NOON, request.param) as kit:
        yield kit


@pytest.fixture
async def process(kit: TriggerKit) -> Process:
    return await kit.process()
