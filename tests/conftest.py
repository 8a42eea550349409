"""Services that tests need: `@pytest.mark.service("postgres")` on a test, a module or a parameter.

A test whose service does not answer is skipped, and the summary says why. Where `MILLRACE_TEST_REQUIRE_SERVICES=1` is
set, as in `.ci/run`, it fails instead: a machine that should have the service must not pass by skipping.
"""

import asyncio
import gc
import os
import shutil
from collections.abc import Callable, Coroutine
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

ANSWERS_WITHIN = 5.0
SERVICES = {
    "postgres": ("MILLRACE_TEST_POSTGRES_URL", "postgresql://root@127.0.0.1:5432/test"),
    "mariadb": ("MILLRACE_TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/test"),
    "chromium": ("MILLRACE_TEST_CHROMIUM", "chromium"),
    "s3": ("MILLRACE_TEST_SWIFT_PYTHON", str(Path(__file__).parents[1] / ".cache" / "s3" / "bin" / "python")),
    "nginx": ("MILLRACE_TEST_NGINX", "nginx"),
    "caddy": ("MILLRACE_TEST_CADDY", "caddy"),
    "oidc": ("MILLRACE_TEST_OIDC_MODULES", str(Path(__file__).parents[1] / ".cache" / "oidc" / "node_modules")),
}


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """For tests marked `service("postgres")`: an empty database of their own is not promised, only a reachable one."""
    return service_url("postgres")


@pytest.fixture(scope="session")
def mariadb_url() -> str:
    return service_url("mariadb")


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of every later garbage collection, which otherwise walks them all."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("service"):
        (name,) = marker.args
        if name not in SERVICES:
            raise pytest.UsageError(f"{item.nodeid}: no service {name!r}; there are {', '.join(SERVICES)}")
        if trouble := trouble_with(name):
            reason = f"{name} at {_without_password(service_url(name))} does not answer ({trouble}); {_remedy(name)}"
            if os.environ.get("MILLRACE_TEST_REQUIRE_SERVICES") == "1":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


def service_url(name: str) -> str:
    variable, default = SERVICES[name]
    return os.environ.get(variable) or default


@cache
def trouble_with(name: str) -> str | None:
    """Why a login to the service fails, or None if it works. Asked once a session."""
    with asyncio.Runner() as runner:
        try:
            runner.run(asyncio.wait_for(PROBES[name](service_url(name)), ANSWERS_WITHIN))
        except Exception as error:  # any reason at all: drivers share no base class, and the text goes to the reader
            return f"{type(error).__name__}: {error}".rstrip(": ")
    return None


async def _log_in_to_postgres(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.close()


async def _log_in_to_mariadb(url: str) -> None:
    import asyncmy

    address = urlsplit(url)
    connection = await asyncmy.connect(
        host=address.hostname or "127.0.0.1",
        port=address.port or 3306,
        user=unquote(address.username or "root"),
        password=unquote(address.password or ""),
        db=address.path.removeprefix("/"),
    )
    await connection.ensure_closed()


async def _ask_chromium(program: str) -> None:
    process = await asyncio.create_subprocess_exec(
        program, "--version", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    if status := await process.wait():
        raise RuntimeError(f"{program} --version ended with {status}")


async def _ask_swift(python: str) -> None:
    """Tests start it themselves (`tests.support.s3_server`); here it must only be installed."""
    process = await asyncio.create_subprocess_exec(python, "-c", "import swift")
    if status := await process.wait():
        raise RuntimeError(f"this Python has no swift (status {status}); make setup-dev installs it")


async def _ask_oidc_provider(modules: str) -> None:
    """As with Swift: `tests.support.login_provider` starts it."""
    found = Path(modules) / "oidc-provider"
    if not found.is_dir():
        raise RuntimeError("the package oidc-provider is not there; make setup-dev installs it where there is npm")
    process = await asyncio.create_subprocess_exec(
        "node", "--version", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    if status := await process.wait():
        raise RuntimeError(f"node --version ended with {status}")


async def _ask_web_server(program: str) -> None:
    """As with Swift: `tests.support.web_servers` starts it."""
    found = program_of_system(program)
    if found is None:
        raise RuntimeError(f"there is no {program}; install it")


def program_of_system(name: str) -> str | None:
    """Of a web server, which may not be on the PATH of who is no administrator."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin")


PROBES: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    "postgres": _log_in_to_postgres,
    "mariadb": _log_in_to_mariadb,
    "chromium": _ask_chromium,
    "s3": _ask_swift,
    "oidc": _ask_oidc_provider,
    "nginx": _ask_web_server,
    "caddy": _ask_web_server,
}


def _without_password(url: str) -> str:
    if "://" not in url:
        return url
    address = urlsplit(url)
    return f"{address.hostname}:{address.port or 'default port'}{address.path}"


def _remedy(name: str) -> str:
    return f"start it, or name another in {SERVICES[name][0]}"
