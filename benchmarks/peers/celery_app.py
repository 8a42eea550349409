"""The Celery application: what the worker process and the measuring process both import."""

import os
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_REDIS_URL"], backend=os.environ["BENCH_REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task
def noop() -> float:
    """Answers when its first instruction ran, by the clock that all processes of a machine share."""
    return time.monotonic()


@app.task
def join(results: list[float]) -> int:
    return len(results)
