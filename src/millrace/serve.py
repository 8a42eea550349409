"""`millrace up`: the whole of Millrace in one process, and what a person sees of its start and its end.

The database's lock comes first, so a second `up` says who holds it and touches nothing. SIGINT and SIGTERM stop in good
order; a second one ends the running tasks at once. `millrace api`, `scheduler` and `worker` are parts of it, on
PostgreSQL.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from millrace.api.create import create_app
from millrace.api.protocol import HttpProtocol
from millrace.api.requests import name_requests_in_logs
from millrace.api.sockets import OpenSockets
from millrace.api.stream import Streams
from millrace.api.tls import CertificateUnusable, reload_certificate, tls_context
from millrace.app.examples import apply_examples
from millrace.auth.first_admin import KEY_FILE, ensure_first_admin, is_first_start
from millrace.auth.masked_logs import mask_logs
from millrace.auth.masking import SecretMasker
from millrace.auth.vault.key_source import EncryptionKeyUnusable
from millrace.bootstrap import RoleRefused, Runtime, running
from millrace.config import Settings, SettingsError, load_settings
from millrace.config.exposure import refuse_exposed
from millrace.config.warnings import setting_warnings
from millrace.ports.store import StoreUnavailable
from millrace.roles import Role
from millrace.runners.rules import refuse_unusable_user
from millrace.storage.database import DatabaseUnusable
from millrace.storage.lock import DatabaseInUse
from millrace.storage.schema import UnknownSchema
from millrace.system import SystemClock, Uuid7Ids, leave_start_behind
from millrace.worker.worker import Worker

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_USAGE = 2
NOTE = "server.json"
HTTP_STOP_SECONDS = 3
"""How long requests under way may go on after a request to stop."""


class CannotListen(Exception):
    """The address is taken or not ours; the message names it and the settings."""


class HomeUnusable(Exception):
    """There is no folder to be had for this installation; the message names it and the setting."""


CANNOT_START = (
    SettingsError,
    HomeUnusable,
    DatabaseInUse,
    DatabaseUnusable,
    UnknownSchema,
    EncryptionKeyUnusable,
    CannotListen,
    CertificateUnusable,
)


class ApiServer(uvicorn.Server):
    """Uvicorn without its own signal handling: who stops, and in which order, is decided here."""

    def __init__(self, config: uvicorn.Config, streams: Streams, sockets: OpenSockets) -> None:
        super().__init__(config)
        self._streams = streams
        self._sockets = sockets
        self.answers = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    async def main_loop(self) -> None:
        """Uvicorn would look ten times a second whether it is to stop; here it is told, and renews its date header.

        Open connections are looked at by the same clock.
        """
        while not await self.on_tick(counter=0):
            self._sockets.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    def end(self) -> None:
        """Wait no longer for requests under way."""
        self.force_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams would never end by themselves, and each would hold up the stop to its limit."""
        self._streams.close()
        await super().shutdown(sockets)


def serve(role: Role = Role.UP, **changed: object) -> int:
    """Run in this role until asked to stop; answers the exit status. `changed`: settings that win over those given."""
    try:
        settings = load_settings().model_copy(update=changed)
        if role.serves_http:
            refuse_exposed(settings)
        if role.works:
            refuse_unusable_user(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
    )
    # The HTTP library logs whole addresses, in which there may be secrets.
    for chatty in ("alembic", "uvicorn", "httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Its warnings are stack traces about connections that are lost; whoever needed one says so in a line.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    masker = SecretMasker()
    name_requests_in_logs()
    mask_logs(masker)
    for warning in setting_warnings(settings):
        logger.warning(warning)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, masker, role))
    except RoleRefused as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except CANNOT_START as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    except StoreUnavailable as error:
        print(f"the database cannot be used now: {error}; start Millrace again when it can", file=sys.stderr)
        return EXIT_FAILED
    return 0


async def _serve(settings: Settings, masker: SecretMasker, role: Role) -> None:
    _make_home(settings.home)
    async with running(settings, masker, role) as runtime:
        if not role.serves_http:
            _say_role(settings, role)
            leave_start_behind()
            await _until_stopped(runtime)
            return
        shown_key = await _first_start(runtime)
        async with _api(runtime) as (server, api, url):
            with _note(settings, _url_here(url)):
                _say(settings, url, shown_key)
                leave_start_behind()
                await _until_stopped(runtime, server, api)


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeUnusable(
            f"the folder {home} cannot be made: {error.strerror}; name another in MILLRACE_HOME"
        ) from None


# --- the API ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _api(runtime: Runtime) -> AsyncIterator[tuple[ApiServer, "asyncio.Task[None]", str]]:
    """Serve HTTP while the block runs; gives the server, its task, and where it listens."""
    settings = runtime.settings
    tls = _tls(settings)
    listening = _listen(settings.host, settings.port)
    app, sockets = create_app(runtime.container), OpenSockets(settings)
    config = uvicorn.Config(
        app,
        http=_protocol(sockets),
        ws="none",
        # Whom to believe is decided by the application, which knows the settings.
        proxy_headers=False,
        ssl_context_factory=None if tls is None else lambda *_: tls,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=HTTP_STOP_SECONDS,
    )
    server = ApiServer(config, app.state.streams, sockets)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="api")
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if tls is None else "https"
    try:
        await server.answers.wait()
        yield server, task, f"{scheme}://{host}:{port}"
    finally:
        server.stop()
        await asyncio.gather(task, return_exceptions=True)
        listening.close()


def _protocol(sockets: OpenSockets) -> type[HttpProtocol]:
    """Uvicorn makes its protocols by itself, and knows nothing of what ours share."""

    class Protocol(HttpProtocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, sockets=sockets, **options)

    return Protocol


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """What HTTPS is spoken with, if it is; SIGHUP reads the files again. Raises `CertificateUnusable`."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None or key is None:
        return None
    context = tls_context(cert, key)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, partial(_reload, context, cert, key))
    return context


def _reload(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    try:
        reload_certificate(context, cert, key)
    except CertificateUnusable as error:
        logger.error("the certificate stays as it was: %s", error)
    else:
        logger.info("the certificate was read again")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        raise CannotListen(
            f"Millrace cannot listen on {host}:{port}: {error.strerror}. "
            "Stop what listens there, or choose another with --port or MILLRACE_PORT (0 takes a free port), or another "
            "--host or MILLRACE_HOST"
        ) from None
    return listening


# --- start ------------------------------------------------------------------------------------------------------------


async def _first_start(runtime: Runtime) -> str | None:
    """On the first start: the examples and an administrator, whose key this answers. The administrator comes last.

    So a first start that is cut short is the first start once more.
    """
    settings, database = runtime.settings, runtime.database
    if not await is_first_start(database):
        return None
    async with runtime.turns.waited_turn("first start"):
        if settings.apply_examples and await is_first_start(database):
            await apply_examples(runtime.container.workflow_commands, settings.examples_dir)
        return await ensure_first_admin(database, SystemClock(), Uuid7Ids(), settings.home)


def _url_here(url: str) -> str:
    """Where this machine reaches a server that listens on all its addresses."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


@contextmanager
def _note(settings: Settings, url: str) -> Iterator[None]:
    """`$MILLRACE_HOME/server.json`: where the command line finds this server, or one that was started here later.

    With its certificate, which is the one that a server at this address is believed by.
    """
    place = settings.home / NOTE
    certificate = {} if settings.tls_cert is None else {"certificate": str(settings.tls_cert)}
    note = json.dumps({"url": url, "pid": os.getpid(), **certificate})
    fresh = settings.home / f".{NOTE}.{os.getpid()}"
    fresh.write_text(note)
    fresh.replace(place)
    try:
        yield
    finally:
        with suppress(OSError):
            if place.read_text() == note:
                place.unlink()


def _say_role(settings: Settings, role: Role) -> None:
    lines = [f"Millrace is ready: {role}", f"  data       {settings.redacted()['database_url']}"]
    if role.works:
        lines.append(f"  queues     {', '.join(settings.worker_queues)}, {settings.worker_slots} slots")
    print("\n".join(lines), flush=True)


def _say(settings: Settings, url: str, shown_key: str | None) -> None:
    lines = [
        f"Millrace is ready at {url}",
        f"  API docs   {url}/docs",
        f"  data       {settings.database_path or settings.redacted()['database_url']}",
    ]
    if shown_key is not None:
        lines += [
            f"  API key    {shown_key}",
            f"             shown this once; the command line reads it from {settings.home / KEY_FILE}",
            "             `millrace setup` gives you a login by password, for yourself and for others",
        ]
        if settings.apply_examples:
            lines += [
                "",
                "Try, in another terminal:",
                "  .venv/bin/millrace run fan-out -i name=Ada --follow",
                "  .venv/bin/millrace runs",
            ]
    print("\n".join(lines), flush=True)


# --- stop -------------------------------------------------------------------------------------------------------------


async def _until_stopped(runtime: Runtime, server: ApiServer | None = None, *serving: "asyncio.Task[None]") -> None:
    """Return at the first signal. If something that must run ends by itself, raise what ended it."""
    stopping = asyncio.create_task(_asked_to_stop(runtime, server), name="signals")
    done, _ = await asyncio.wait({stopping, runtime.loops, *serving}, return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stopping}:
        await task
        raise RuntimeError(f"the task {task.get_name()!r} ended although nobody asked it to")


async def _asked_to_stop(runtime: Runtime, server: ApiServer | None) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    worker = runtime.worker

    def on_signal() -> None:
        if worker is not None:
            worker.stop_claiming()
        if asked.is_set():
            logger.warning("asked to stop again: what is under way is ended now")
            _end(worker, server)
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    await asked.wait()
    if worker is not None:
        logger.info("stopping: no new work; running tasks have %d s", runtime.settings.stop_seconds)


def _end(worker: Worker | None, server: ApiServer | None) -> None:
    if worker is not None:
        worker.end_all()
    if server is not None:
        server.end()
