"""A server for the tests of a module, and both clients."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.awaited import KINDS, client_of
from tests.support.server import MillraceProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("client") / "home") as running:
        yield running


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def client(kind: str, server: MillraceProcess) -> AsyncIterator[Any]:
    """Either client, to be used like the one for asyncio."""
    async with client_of(kind, server.url, server.api_key) as made:
        yield made
