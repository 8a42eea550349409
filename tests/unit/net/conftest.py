"""A client that may reach this machine."""

from collections.abc import AsyncIterator

import pytest

from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient


@pytest.fixture
async def client() -> AsyncIterator[GuardedHttpClient]:
    """A client of an installation that allows this machine."""
    made = GuardedHttpClient(AddressPolicy(["127.0.0.1", "localhost"]))
    yield made
    await made.close()
