"""Threads for the calls of an object store, which block. Nothing ever waits for one that the store does not let go.

A server that says nothing, or a network disk that hangs, holds a thread for as long as it likes: neither `close` nor
the end of the interpreter may wait for it, as both would with the threads of `concurrent.futures`.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

ENDED_WITHIN = 1.0
"""Seconds that `close` gives to what is under way, which is time enough for a store that answers."""

T = TypeVar("T")

Job = tuple[Future[Any], Callable[[], Any]]


class Threads:
    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._under_way = 0
        """Jobs that were given and have not ended."""
        self._lock = Lock()
        self._closed = False

    def begin(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` when a thread is free."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the object store is closed")
            self._under_way += 1
            if self._under_way > len(self._threads) and len(self._threads) < self._most:
                thread = Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._jobs.put((future, work))
        return future

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.wrap_future(self.begin(work))

    def close(self) -> None:
        """Take no more. What is under way has a moment to end; what has not ended then is left to itself."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)
        until = time.monotonic() + ENDED_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if future.set_running_or_notify_cancel():
                _do(future, work)
            # Neither is held while the thread waits for more.
            del job, future, work
            with self._lock:
                self._under_way -= 1


class OneAtATime:
    """A question to the store with a thread of its own, so that it waits for no transfer; and never asked twice at the
    same time: who asks while it is under way gets that answer. Whoever waits may leave, the question goes on."""

    def __init__(self, name: str, question: Callable[[], None]) -> None:
        self._threads = Threads(1, name)
        self._question = question
        self._asked: Future[None] | None = None

    async def ask(self) -> None:
        if self._asked is None or self._asked.done():
            self._asked = self._threads.begin(self._question)
        await asyncio.shield(asyncio.wrap_future(self._asked))

    def close(self) -> None:
        self._threads.close()


def _do(future: "Future[T]", work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
