"""What talks to processes and sockets is tested on both event loops: that of the server and that of Python."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.integration.runners.shell_kit import Log, Shell, runner
from tests.support.databases import EVERYWHERE

ON_BOTH_LOOPS = ("test_shell", "test_shell_end")
ON_THAT_OF_THE_SERVER = ("test_script", "test_http", "test_email")
"""In the gate; with `MILLRACE_TEST_EVERYWHERE=1` they run on both, too."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.stem in ON_THAT_OF_THE_SERVER and not EVERYWHERE:
        return {"uvloop": uvloop.new_event_loop}
    if item.path.stem in (*ON_BOTH_LOOPS, *ON_THAT_OF_THE_SERVER):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    shell = Shell(runner(), Log(), {"MILLRACE_ATTEMPT": f"installation:{os.getpid()}:token"})
    yield shell
    await shell.runner.close()
