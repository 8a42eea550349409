"""What can go wrong, as a tree:

    MillraceError
    ├── InvalidArgument     an argument that no request can carry; nothing was sent (also a `ValueError`)
    ├── ClientClosed        the client was closed before (also a `RuntimeError`)
    ├── NoApiKey            no key was given, and none was found
    ├── Unreachable         no server answered, or its answer did not arrive whole
    ├── UnexpectedAnswer    what answered is not Millrace
    ├── RequestRefused      the server said no; `code` is stable, `faults` say where and what would be right
    │   ├── Unauthenticated 401        ├── Conflict            409        ├── TooManyRequests 429
    │   ├── Forbidden       403        ├── PreconditionFailed  412        └── Unavailable     503
    │   └── NotFound        404        └── InvalidRequest      422
    ├── StreamFailed        the server ended a stream with an error
    ├── DownloadFailed      a file did not arrive as it was stored
    ├── WaitTimeout         a run had not finished in the time given (also a `TimeoutError`)
    └── RunFailed           `run()` started a run that did not complete

No message and no attribute holds the API key.
"""

from collections.abc import Mapping
from typing import Any, cast

from millrace.client.types import FailureView, FaultView, RunView


class MillraceError(Exception):
    """Anything that this client raises, but for an `OSError` about a file of yours."""


class InvalidArgument(MillraceError, ValueError):
    """An argument that no request can carry. `place` says which, as `input.days[2]`; nothing was sent."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


class ClientClosed(MillraceError, RuntimeError):
    """The client was closed; make another one."""


class NoApiKey(MillraceError):
    """No API key was given, and none was found."""


class Unreachable(MillraceError):
    """No server answered, or its answer did not arrive whole; `sent` says whether it may have got the request."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedAnswer(MillraceError):
    """What answered is not Millrace, or another release: the answer is not the JSON it should be."""


class RequestRefused(MillraceError):
    """The server refused a request, with its problem document (RFC 9457) as attributes.

    `request_id` is what the server or a proxy before it calls the request, if they say so; `retry_after` the seconds
    after which it may be sent again, if the server says so.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        faults: list[FaultView] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.faults = faults or []
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__("\n".join([f"{detail} ({status} {code})", *map(_fault_text, self.faults)]))


class Unauthenticated(RequestRefused):
    """401: the API key is not known, or no longer."""


class Forbidden(RequestRefused):
    """403: the key may not do this."""


class NotFound(RequestRefused):
    """404: there is no such thing."""


class Conflict(RequestRefused):
    """409: what is there does not allow it: a name is taken, a run has finished, `if_match` names a former state."""


class PreconditionFailed(RequestRefused):
    """412: what is there is not what the caller has seen."""


class InvalidRequest(RequestRefused):
    """422: the request itself is wrong; `faults` name each place."""


class TooManyRequests(RequestRefused):
    """429: too many requests at once."""


class Unavailable(RequestRefused):
    """503: the server, or what it needs, is not available now."""


class StreamFailed(MillraceError):
    """The server ended a stream with an error: its `code` and `detail`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.detail = detail


class DownloadFailed(MillraceError):
    """A file did not arrive as it was stored."""


class WaitTimeout(MillraceError, TimeoutError):
    """The run had not finished in the time given. It goes on."""

    def __init__(self, run_id: str, seconds: float) -> None:
        super().__init__(f"run {run_id} has not finished within {seconds:g} s; it goes on")
        self.run_id = run_id


class RunFailed(MillraceError):
    """A run failed or was cancelled: the whole `run`, and why it failed as `failure`."""

    def __init__(self, run: RunView) -> None:
        self.run = run
        self.failure: FailureView | None = run.get("error")
        why = "" if self.failure is None else f": {_failure_text(self.failure)}"
        super().__init__(f"run {run['id']} of {run['workflow']['name']} {_ending(run['status'])}{why}")


BY_STATUS: Mapping[int, type[RequestRefused]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    422: InvalidRequest,
    429: TooManyRequests,
    503: Unavailable,
}


def refusal(status: int, problem: Any, headers: Mapping[str, str]) -> RequestRefused:
    """The error for an answer that is no success. `problem` is its body if that is JSON, else anything."""
    told = problem if isinstance(problem, dict) else {}
    return BY_STATUS.get(status, RequestRefused)(
        status,
        str(told.get("code") or "http_error"),
        str(told.get("detail") or told.get("title") or f"the server answered {status}"),
        _faults(told.get("faults")),
        headers.get("X-Request-ID"),
        _seconds(headers.get("Retry-After")),
    )


def _faults(told: Any) -> list[FaultView]:
    return [cast(FaultView, fault) for fault in told if isinstance(fault, dict)] if isinstance(told, list) else []


def _seconds(retry_after: str | None) -> float | None:
    """Of the header's two forms only the number: a date would need both clocks to agree."""
    return float(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdigit() else None


def _fault_text(fault: FaultView) -> str:
    remedy = f": {fault['remedy']}" if fault.get("remedy") else ""
    return f"  {fault.get('path') or '(whole)'}: {fault.get('message')}{remedy}"


def _failure_text(failure: FailureView) -> str:
    """Without a kind that says no more than that it failed."""
    return failure["message"] if failure["kind"] == "error" else f"{failure['kind']}: {failure['message']}"


def _ending(status: str) -> str:
    return "was cancelled" if status == "cancelled" else status
