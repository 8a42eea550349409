"""Answers that several routes give alike: the one to a start."""

from fastapi import Request, Response

from millrace.api.bodies import answer
from millrace.api.naming import named
from millrace.api.schemas.runs import Waiting
from millrace.api.stream import streams_of
from millrace.app.containers.container import Container
from millrace.app.runs.starting import Started


async def started_answer(request: Request, container: Container, started: Started, asked: Waiting) -> Response:
    """202 with the run; 200 when it was waited for and has finished, or when its key was known.

    A process that is asked to stop answers those who wait with the run as it is.
    """
    finished = asked.waits and await streams_of(request).unless_stopping(
        container.run_starter.wait(started.run_id, asked.wait_seconds)
    )
    status = 200 if finished or (started.existed and not asked.waits) else 202
    run = await container.run_queries.get(started.run_id)
    return answer(await named(container, run), status, {"Location": f"/api/v1/runs/{started.run_id}"})
