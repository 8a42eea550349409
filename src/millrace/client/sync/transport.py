# Printed by scripts/print-client from aio/transport.py; changes belong there.
"""The one place where requests leave: signs them, sends them again where that is safe, turns refusals into errors."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from math import inf
from typing import Any

import httpx2

from millrace.client.answers import part
from millrace.client.errors import ClientClosed, MillraceError, UnexpectedAnswer, Unreachable, refusal
from millrace.client.location import Location, home
from millrace.client.requests import Body, Query, Tagged, given
from millrace.client.retrying import Retrying
from millrace.client.sync.pausing import pause
from millrace.client.trust import trust_for
from millrace.client.values import header_value

API = "/api/v1"
PAGE = 200
"""Items that one request of an iteration asks for."""

NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class Transport:
    """A signed-in connection pool to one server. Paths are relative to `/api/v1`, or absolute from `/health` on."""

    def __init__(
        self, location: Location, *, timeout: float, retrying: Retrying, through: httpx2.BaseTransport | None
    ) -> None:
        self.location = location
        self.retrying = retrying
        self._timeout = timeout
        self._deadline: float | None = None
        self._http = httpx2.Client(
            headers={"X-API-Key": location.api_key},
            timeout=self._limits(timeout),
            trust_env=False,
            verify=trust_for(location.url, home()),
            transport=through,
        )

    def close(self) -> None:
        self._http.close()

    def until(self, deadline: float | None) -> "Transport":
        """The same connections for requests that have to be over at a moment of the monotonic clock."""
        bounded = copy(self)
        bounded._deadline = deadline
        return bounded

    def get(self, path: str, query: Query | None = None, *, waiting: float = 0) -> Any:
        """The JSON at `path`; `waiting` are the seconds that the server was asked to wait, besides the timeout."""
        return self.send("GET", path, query=query, repeatable=True, waiting=waiting)

    def tagged(self, path: str, known: Tagged[Any] | None) -> Tagged[Any]:
        """The JSON at `path` with its ETag; `known` itself if it still is what the server has."""
        headers = {} if known is None else {"If-None-Match": known.etag}
        response = self._answer("GET", path, headers=headers, repeatable=True)
        if known is not None and response.status_code == 304:
            return known
        return Tagged(self._json(response), response.headers.get("ETag", ""))

    def pages(self, path: str, query: Query) -> Iterator[Any]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, {**query, "limit": PAGE, "cursor": cursor})
            yield from part(page, "items")
            cursor = part(page, "next_cursor")
            if cursor is None:
                return

    def send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        waiting: float = 0,
    ) -> Any:
        """The JSON that is answered, `None` without any. Raises `RequestRefused`, `Unreachable`, `UnexpectedAnswer`."""
        response = self._answer(
            method, path, body, query=query, headers=headers, repeatable=repeatable, waiting=waiting
        )
        return self._json(response) if response.content else None

    @contextmanager
    def stream(
        self, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None, silence: float
    ) -> Iterator[httpx2.Response]:
        """An answer whose content is read as it comes, by `parts` or `lines`; `silence`: seconds without any."""
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        response = self._open("GET", path, query=query, headers=headers, repeatable=True, read=silence)
        try:
            yield response
        finally:
            response.close()

    def parts(self, response: httpx2.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def lines(self, response: httpx2.Response) -> Iterator[str]:
        try:
            yield from response.iter_lines()
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def _answer(self, method: str, path: str, body: Body | None = None, **options: Any) -> httpx2.Response:
        response = self._open(method, path, body, read=self._timeout + options.pop("waiting", 0), whole=True, **options)
        response.close()
        return response

    def _open(
        self, method: str, path: str, body: Body | None = None, *, repeatable: bool, **options: Any
    ) -> httpx2.Response:
        """An answer that is a success, after as many attempts as are safe; `InvalidArgument` is raised before any."""
        body = None if body is None else body.encoded()
        failures = 0
        while True:
            outcome = self._attempt(method, path, body, **options)
            if not isinstance(outcome, MillraceError):
                return outcome
            failures += 1
            seconds = self.retrying.pause(failures, outcome, repeatable=repeatable)
            if seconds is None or (body is not None and body.streamed) or seconds >= self._left():
                raise outcome
            pause(seconds)

    def _attempt(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        read: float,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        whole: bool = False,
    ) -> httpx2.Response | MillraceError:
        """One attempt: the answer, read if it is wanted `whole`, or what is wrong."""
        if self._http.is_closed:
            raise ClientClosed("the client is closed; make another one")
        typed = {} if body is None else {"Content-Type": body.media_type}
        request = self._http.build_request(
            method,
            self._url(path),
            params=given(query or {}),
            headers={name: header_value(name, value) for name, value in {**(headers or {}), **typed}.items()},
            timeout=self._limits(read),
            content=None if body is None else body.content,
        )
        try:
            response = self._http.send(request, stream=True)
            success = response.is_success or response.status_code == 304
            if whole or not success:
                response.read()
        except httpx2.HTTPError as error:
            return self._unreachable(error)
        if success:
            return response
        return refusal(response.status_code, _json_or_none(response), response.headers)

    def _url(self, path: str) -> str:
        return f"{self.location.url}{path}" if path.startswith("/health") else f"{self.location.url}{API}{path}"

    def _limits(self, read: float) -> httpx2.Timeout:
        # A moment at least: also what is asked for at the very end is sent.
        left = max(self._left(), 0.1)
        usual = min(self._timeout, left)
        return httpx2.Timeout(usual, connect=min(10.0, usual), read=min(read, left))

    def _left(self) -> float:
        """Seconds until the deadline."""
        return inf if self._deadline is None else self._deadline - time.monotonic()

    def _unreachable(self, error: httpx2.HTTPError) -> Unreachable:
        """Without the error below as its cause: that one knows the request, and the request knows the key."""
        sent = not isinstance(error, NOT_SENT)
        what = "its answer did not arrive" if sent else "no connection"
        message = f"no answer from {self.location.shown}: {what} ({type(error).__name__}); is the server running?"
        return Unreachable(message, sent=sent)

    def _json(self, response: httpx2.Response) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise UnexpectedAnswer(
                f"{self.location.shown} answered {response.status_code} without JSON; is it a Millrace server?"
            ) from None


def _json_or_none(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None
