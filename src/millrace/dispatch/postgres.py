"""Hints between the processes on one PostgreSQL database, by NOTIFY; followers of this process are woken at once.

A NOTIFY never rides in the transaction it tells of: those that carry one commit one after the other, in the whole
server. Here it follows on a connection of its own, whose commits need not reach the disk, and gathers for a moment
first, so that it costs the same however much is committed. It may be lost, with that connection for one; whoever waits
for a hint also looks by itself now and then, and everybody looks when the connection is back.

A process that is alone on the database tells nothing. Whoever comes says so, and is told from then on; what it was not
told before, it finds as what is lost.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import asyncpg

from millrace.dispatch.localbus import LocalBus
from millrace.ports.dispatch import Hint
from millrace.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)

RUNS, HINTS = "millrace_runs", "millrace_hints"
"""Channels: runs of which something was committed, by id; and `hint:subject`. Words are separated by spaces."""

ANY = "*"
HERE = "here:"
"""What a process says when it comes. No hint is called so."""
BETWEEN_SECONDS = 0.005
"""Between two notifications on a channel."""
LARGEST_PAYLOAD = 7_900
"""Bytes; the server takes fewer than 8,000. More words than that become one: any."""
QUIET_SECONDS = 30.0
"""After so long without a word the connection is tried, for one that nobody answers on looks like a quiet one."""
LOOK_AROUND_SECONDS = 5.0
"""Between two questions whether there are other processes."""
ANSWERS_WITHIN = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between two tries to connect; each is twice the one before."""

NOTIFY = "select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as x(channel, payload)"
LOST = (OSError, asyncio.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises on a connection that is cut; the last one when it is cut at an awkward moment."""


class Words:
    """What waits to be told on a channel, each once."""

    def __init__(self, general: Callable[[str], str]) -> None:
        """`general`: what to say in place of a word when there are too many."""
        self._general = general
        self._words: dict[str, None] = {}
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._words)

    def add(self, word: str) -> None:
        if word in self._words or self._general(word) in self._words:
            return
        self._words[word] = None
        self._size += len(word.encode()) + 1
        if self._size > LARGEST_PAYLOAD:
            self._words = dict.fromkeys(self._general(word) for word in self._words)
            self._size = sum(len(word.encode()) + 1 for word in self._words)

    def take(self) -> str:
        payload = " ".join(self._words)
        self._words, self._size = {}, 0
        return payload


class PostgresHints:
    """Meets `ports.bus.Bus` and `ports.dispatch.Hints`; other processes are told and heard while `run` goes on."""

    def __init__(self, url: str, others: Callable[[], Awaitable[bool]] | None = None) -> None:
        """`others`: whether other processes are there; may raise `StoreUnavailable`. Without it some may always be."""
        self._url = url
        self._others = others
        self._words_heard = 0
        self.alone = False
        """Whether nobody else is there to be told."""
        self._local = LocalBus()
        self._acts: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._pending = {
            RUNS: Words(lambda _: ANY),
            HINTS: Words(lambda word: f"{word.partition(':')[0]}:{ANY}"),
        }
        self._wanted = asyncio.Event()
        self._server_pid = 0
        """Who speaks for us. Asked once: a word may be heard when the connection is gone already, and knows nothing."""
        self.connected = asyncio.Event()
        """Set while other processes are heard."""

    # --- bus and hints ------------------------------------------------------------------------------------------------

    def publish(self, run_id: str) -> None:
        self._local.publish(run_id)
        self._say(RUNS, run_id)

    async def wait(self, run_id: str, timeout: float) -> bool:
        return await self._local.wait(run_id, timeout)

    def tell(self, hint: Hint, subject: str = "") -> None:
        self._say(HINTS, f"{hint.value}:{subject}")

    def on(self, hint: Hint, act: Callable[[str], None]) -> None:
        self._acts[hint.value].append(act)

    def _say(self, channel: str, word: str) -> None:
        if self.alone:
            return
        self._pending[channel].add(word)
        self._wanted.set()

    # --- the connection -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell and hear until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            if self._others is not None:
                tasks.create_task(self._look_around(self._others))

    async def _look_around(self, others: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await asyncio.sleep(LOOK_AROUND_SECONDS)
            heard = self._words_heard
            try:
                found = await others()
            except StoreUnavailable:
                continue
            # Who came while the question was answered is heard, and not in the answer.
            self.alone = not found and heard == self._words_heard

    async def _stay_connected(self) -> None:
        """Connects again as often as need be."""
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await self._connect()
            except LOST as error:
                logger.warning("no hints from other processes for now: %s", str(error) or type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            try:
                await self._serve(connection)
            except LOST as error:
                logger.warning("the connection for hints was lost: %s", str(error) or type(error).__name__)
            finally:
                self.connected.clear()
                connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._url,
            timeout=ANSWERS_WITHIN,
            command_timeout=ANSWERS_WITHIN,
            # Told too late is told in vain, and what was told need not survive a crash.
            server_settings={"application_name": "millrace hints", "synchronous_commit": "off"},
        )

    async def _serve(self, connection: asyncpg.Connection) -> None:
        connection.add_termination_listener(lambda _: self._wanted.set())
        self._server_pid = connection.get_server_pid()
        await connection.add_listener(RUNS, self._hear)
        await connection.add_listener(HINTS, self._hear)
        self._catch_up()
        self.alone = False
        self._say(HINTS, HERE)
        self.connected.set()
        while not connection.is_closed():
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                await connection.execute("select 1")
                continue
            self._wanted.clear()
            await self._send(connection)
            await asyncio.sleep(BETWEEN_SECONDS)

    async def _send(self, connection: asyncpg.Connection) -> None:
        waiting = [channel for channel, words in self._pending.items() if words]
        if not waiting:
            return
        payloads = [self._pending[channel].take() for channel in waiting]
        try:
            await connection.execute(NOTIFY, waiting, payloads)
        except BaseException:
            for channel, payload in zip(waiting, payloads, strict=True):
                for word in payload.split():
                    self._say(channel, word)
            raise

    # --- what others tell ---------------------------------------------------------------------------------------------

    def _hear(self, connection: Any, sender: int, channel: str, payload: object) -> None:
        if sender == self._server_pid:
            return
        self._words_heard += 1
        self.alone = False
        words = str(payload).split()
        if channel == RUNS:
            self._look_again(words)
        else:
            self._act(word.partition(":") for word in words)

    def _look_again(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            if run_id == ANY:
                self._local.publish_all()
            else:
                self._local.publish(run_id)

    def _act(self, hints: Iterable[tuple[str, str, str]]) -> None:
        for hint, _, subject in hints:
            # One of a later release is unknown here, and that is no fault.
            for act in self._acts.get(hint, ()):
                act(subject)

    def _catch_up(self) -> None:
        """Nobody knows what was told while nothing was heard."""
        self._local.publish_all()
        self._act((hint, ":", ANY) for hint in list(self._acts))
