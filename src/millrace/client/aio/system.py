"""The installation as a whole: what it can do, how it is, its events, its database, what it deletes and archives."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.aio.transfers import download
from millrace.client.errors import UnexpectedAnswer
from millrace.client.requests import Moment, batch_body, json_body, path_of, told
from millrace.client.types import (
    ArchivedRun,
    ArchivePage,
    ArchiveView,
    DoctorReport,
    EventPage,
    EventView,
    Health,
    PublishedEvent,
    PublishedEvents,
    RetentionPreview,
    RetentionStarted,
    RetentionView,
    SettingPage,
    TaskTypePage,
    WorkerPage,
)

MAKING_SECONDS: Final = 3600.0
"""That the server may take to copy and check its database before it sends the first byte."""
SILENCE_SECONDS: Final = 60.0
DEEP_SECONDS: Final = 86_400.0
"""That the server may take to read all artifacts."""


class AsyncEvents(AsyncResource):
    """`client.events`: publish events, and read what was published."""

    async def publish(
        self,
        type: str,
        *,
        data: Any = None,
        source: str | None = None,
        subject: str | None = None,
        id: str | None = None,
        time: Moment | None = None,
    ) -> PublishedEvent:
        """Publish an event, which starts a run of each trigger that waits for it.

        With an `id` it is safe to repeat: the same source and id again is the same event. Without one the client gives
        it one, so that a request which it sends again is no second event.
        """
        body = json_body(type=type, data=data, source=source, subject=subject, id=id or str(uuid.uuid4()), time=time)
        return cast(PublishedEvent, await self._transport.send("POST", "/events", body, repeatable=True))

    async def publish_batch(self, events: Sequence[Mapping[str, Any]]) -> PublishedEvents:
        """Publish CloudEvents 1.0, all or none of them; `items` has the answer for each, in their order.

        Each has a `type` and whatever else it tells: `source`, `subject`, `data`, `time`, and extensions by their own
        names. `specversion`, `id` and `source` are filled in where they are left out, so this is as safe to repeat as
        `publish`. 500 at most.
        """
        filled = {"specversion": "1.0", "source": "api"}
        body = batch_body([{**filled, "id": str(uuid.uuid4()), **told(one)} for one in events])
        return cast(PublishedEvents, await self._transport.send("POST", "/events", body, repeatable=True))

    async def list(
        self,
        *,
        type: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        run: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> EventPage:
        """A page of the events, newest first."""
        query = {"type": type, "source": source, "subject": subject, "run": run, "cursor": cursor, "limit": limit}
        return cast(EventPage, await self._transport.get("/events", query))

    def iterate(
        self,
        *,
        type: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        run: str | None = None,
    ) -> AsyncIterator[EventView]:
        """All events that `list` would find on its pages."""
        return self._transport.pages("/events", {"type": type, "source": source, "subject": subject, "run": run})

    async def get(self, event: str) -> EventView:
        """One event with its data."""
        return cast(EventView, await self._transport.get(path_of("events", event)))


class AsyncArchive(AsyncResource):
    """`client.archive`: runs that were archived before they were deleted."""

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> ArchivePage:
        """A page of the archives, newest first; each has many runs."""
        return cast(ArchivePage, await self._transport.get("/archive", {"cursor": cursor, "limit": limit}))

    def iterate(self) -> AsyncIterator[ArchiveView]:
        """All archives that `list` would find on its pages."""
        return self._transport.pages("/archive", {})

    async def get(self, run: str) -> ArchivedRun:
        """One run as it was when it was archived."""
        return cast(ArchivedRun, await self._transport.get(path_of("archive", "runs", run)))

    async def lines(self, run: str, *, family: bool = False) -> AsyncIterator[dict[str, Any]]:
        """All that the archive has of a run, or of its whole family, piece by piece; `kind` says what each is.

        Raises `Unreachable` when the answer breaks off.
        """
        path = path_of("archive", "runs", run, "lines")
        async with self._transport.stream(path, query={"family": family or None}, silence=SILENCE_SECONDS) as response:
            async for line in self._transport.lines(response):
                try:
                    piece = json.loads(line)
                except ValueError:
                    raise UnexpectedAnswer("a line is not JSON; is it a Millrace server?") from None
                yield piece


class AsyncRetention(AsyncResource):
    """`client.retention`: how long what is kept."""

    async def show(self) -> RetentionView:
        """How long what is kept, and the rounds of deleting that are under way and were last."""
        return cast(RetentionView, await self._transport.get("/retention"))

    async def run(self) -> RetentionStarted:
        """Delete in the background what has been kept long enough."""
        return cast(RetentionStarted, await self._transport.send("POST", "/retention/run", json_body(dry_run=False)))

    async def preview(self) -> RetentionPreview:
        """What a round would delete now."""
        body = json_body(dry_run=True)
        return cast(RetentionPreview, await self._transport.send("POST", "/retention/run", body, repeatable=True))


class AsyncDatabase(AsyncResource):
    """`client.database`."""

    async def backup(self, to: str | Path, *, overwrite: bool = False) -> Path:
        """Write a copy of the database as it is now, checked by the server, to `to`. Running work goes on.

        It holds everything but the encryption key and the files of artifacts; keep it as safe as the database.
        Raises `FileExistsError` unless `overwrite`, and `DownloadFailed`.
        """
        return await download(
            self._transport, "/db/backup", Path(to), overwrite=overwrite, silence=MAKING_SECONDS, resumable=False
        )


class AsyncSystem(AsyncResource):
    """`client.system`."""

    async def health(self) -> Health:
        """Whether the process is alive."""
        return cast(Health, await self._transport.get("/health"))

    async def ready(self) -> Health:
        """Whether the process can do its work; raises `Unavailable` if not."""
        return cast(Health, await self._transport.get("/health/ready"))

    async def task_types(self) -> TaskTypePage:
        """The task types of this installation, where they come from and what their `config` takes.

        Those with a `problem` cannot be used.
        """
        return cast(TaskTypePage, await self._transport.get("/task-types"))

    async def definition_schema(self) -> dict[str, Any]:
        """JSON Schema of definitions, for editors."""
        return cast(dict[str, Any], await self._transport.get("/definition-schema"))

    async def workers(self, *, live: bool | None = None, limit: int | None = None) -> WorkerPage:
        """The workers of this installation, newest first; `live=False`: also those that are gone."""
        return cast(WorkerPage, await self._transport.get("/workers", {"live": live, "limit": limit}))

    async def doctor(self, *, deep: bool | None = None) -> DoctorReport:
        """Check the database for anything that cannot be, and a sample of the artifacts; `deep`: read all of them.

        That may take hours. Raises `Conflict` while another deep round is under way. A deep
        round is not asked for again by itself.
        """
        waiting = DEEP_SECONDS if deep else 0.0
        answer = await self._transport.send(
            "GET", "/doctor", query={"deep": deep}, repeatable=not deep, waiting=waiting
        )
        return cast(DoctorReport, answer)

    async def settings(self) -> SettingPage:
        """The settings in effect, passwords masked."""
        return cast(SettingPage, await self._transport.get("/settings"))
