# Printed by scripts/print-client from aio/histories.py; changes belong there.
"""What runs leave behind: records, log lines, the timeline; by page, or live."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from millrace.client.requests import path_of, word_query
from millrace.client.sync.following import Stream
from millrace.client.sync.resource import Resource
from millrace.client.types import LogPage, LogView, RecordPage, RecordView, TimelineView


class Histories(Resource):
    """The part of `client.runs` that reads histories."""

    def records(
        self,
        run: str,
        *,
        after: int | None = None,
        before: int | None = None,
        tail: int | None = None,
        cursor: str | None = None,
        limit: int = 200,
        wait_seconds: float | None = None,
    ) -> RecordPage:
        """A page of the history of a run: records numbered without gaps, those above `after`, or the last ones.

        `wait_seconds` (up to 30): with nothing there yet, wait so long for something to come.
        """
        query = _window(after, before, tail, cursor, limit, wait_seconds)
        answer = self._transport.get(path_of("runs", run, "events"), query, waiting=wait_seconds or 0)
        return cast(RecordPage, answer)

    def iterate_records(self, run: str) -> Iterator[RecordView]:
        """All records that the run has now."""
        return self._transport.pages(path_of("runs", run, "events"), {})

    def follow(self, run: str, *, after: int | None = None) -> Stream[RecordView]:
        """The records of a run as they come, until it has finished; those that are there already come first."""
        return Stream(self._transport, path_of("runs", run, "events"), {"after": after, "follow": True})

    def logs(
        self,
        run: str,
        *,
        task: str | None = None,
        attempt: int | None = None,
        level: str | Sequence[str] | None = None,
        after: int | None = None,
        before: int | None = None,
        tail: int | None = None,
        cursor: str | None = None,
        limit: int = 200,
        wait_seconds: float | None = None,
    ) -> LogPage:
        """A page of the log lines of a run. One `level` means it and what is more severe, several exactly these."""
        query = _lines(task, attempt, level) | _window(after, before, tail, cursor, limit, wait_seconds)
        answer = self._transport.get(path_of("runs", run, "logs"), query, waiting=wait_seconds or 0)
        return cast(LogPage, answer)

    def iterate_logs(
        self,
        run: str,
        *,
        task: str | None = None,
        attempt: int | None = None,
        level: str | Sequence[str] | None = None,
    ) -> Iterator[LogView]:
        """All log lines that the run has now."""
        return self._transport.pages(path_of("runs", run, "logs"), _lines(task, attempt, level))

    def follow_logs(
        self,
        run: str,
        *,
        task: str | None = None,
        attempt: int | None = None,
        level: str | Sequence[str] | None = None,
        after: int | None = None,
        tail: int | None = None,
    ) -> Stream[LogView]:
        """The log lines of a run as they come, until it has finished; first those there are, or the last `tail`."""
        query = _lines(task, attempt, level) | {"after": after, "tail": tail, "follow": True}
        return Stream(self._transport, path_of("runs", run, "logs"), query)

    def timeline(self, run: str, *, after: int | None = None) -> TimelineView:
        """What became of each task and why: attempts, waits, delays, reasons.

        Of a run with very many records it is not `complete`: call again with its `next_after` for what comes then.
        """
        return cast(TimelineView, self._transport.get(path_of("runs", run, "timeline"), {"after": after}))

    def stream(self, *, after: str | None = None) -> Stream[RecordView]:
        """The records of all runs as they come, from now or from an earlier `position` on. It does not end."""
        return Stream(self._transport, "/stream", {"after": after})


def _window(
    after: int | None,
    before: int | None,
    tail: int | None,
    cursor: str | None,
    limit: int,
    wait_seconds: float | None,
) -> dict[str, Any]:
    return {
        "after": after,
        "before": before,
        "tail": tail,
        "cursor": cursor,
        "limit": limit,
        "wait_seconds": wait_seconds,
    }


def _lines(task: str | None, attempt: int | None, level: str | Sequence[str] | None) -> dict[str, Any]:
    return {"task": task, "attempt": attempt, "level": word_query(level)}
