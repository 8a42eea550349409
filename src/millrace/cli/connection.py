"""How the command line reaches the server: finds it, signs in, and turns its problem documents into words.

The server is found by `--server`, `MILLRACE_URL`, the note of a running server in `$MILLRACE_HOME/server.json`,
or the host and port of the settings, in this order. Credentials are `MILLRACE_API_KEY`, the login that
`millrace login` has begun at this server, or the file `$MILLRACE_HOME/api-key`, which is sent only to a server that was
found by itself or is at a loopback address.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import typer

from millrace.cli.output import say
from millrace.core.values import JsonValue

if TYPE_CHECKING:
    import ssl

    import httpx2

EXIT_FAILED = 1
"""A run failed, a check found something."""
EXIT_USAGE = 2
"""The command or what it was given is not right; the server said no."""
EXIT_CANCELLED = 3
"""The run was cancelled."""
EXIT_UNREACHABLE = 4
"""No server answers."""

KEY_VARIABLE = "MILLRACE_API_KEY"

LARGEST_PAGE = 200

SILENCE_SECONDS = 60.0
"""How long the server may take to answer, where it is not known to take longer."""


class CommandError(Exception):
    """Ends the command with a message on stderr and an exit status."""

    def __init__(self, message: str, status: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.status = status


class ProblemError(CommandError):
    """The server refused a request; `problem` is its problem document."""

    def __init__(self, http_status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem_text(problem))
        self.http_status = http_status
        self.problem = problem


def home() -> Path:
    return Path(os.environ.get("MILLRACE_HOME", "~/.millrace")).expanduser()


def server_url(given: str | None) -> str:
    if given or (given := os.environ.get("MILLRACE_URL")):
        return given.rstrip("/")
    try:
        note = json.loads((home() / "server.json").read_text())
        return str(note["url"])
    except (OSError, ValueError, KeyError):
        host, port = os.environ.get("MILLRACE_HOST", "127.0.0.1"), os.environ.get("MILLRACE_PORT", "8000")
        return f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """An API key, and where it was found: `MILLRACE_API_KEY`, or the path of a file."""

    text: str = field(repr=False)
    place: str


def api_key(given: str | None = None) -> FoundKey:
    """The key for the server that is `given`, or else found; the one in the file leaves this machine for no other."""
    key = os.environ.get(KEY_VARIABLE)
    if key:
        return FoundKey(_checked(key, KEY_VARIABLE), KEY_VARIABLE)
    named = given or os.environ.get("MILLRACE_URL")
    if named and not _is_here(named):
        raise CommandError("no API key: for a server elsewhere set MILLRACE_API_KEY, or use `millrace login`")
    place = home() / "api-key"
    try:
        return FoundKey(_checked(place.read_text(errors="replace").strip(), str(place)), str(place))
    except OSError:
        raise CommandError(
            f"no API key: set MILLRACE_API_KEY, or start the server once; it writes the first key to {place}"
        ) from None


def _checked(key: str, place: str) -> str:
    """What cannot be a header is refused without being repeated."""
    if not key or not all("!" <= character <= "~" for character in key):
        raise CommandError(f"{place} holds no API key: one is visible ASCII characters without spaces")
    return key


def trusted(url: str) -> "ssl.SSLContext | bool":
    """What certificates are believed of the server at this URL. Raises `CommandError`."""
    if not url.startswith("https:"):
        return True
    from millrace.client.errors import InvalidArgument
    from millrace.client.trust import trust_for

    try:
        return trust_for(url, home())
    except InvalidArgument as error:
        raise CommandError(str(error)) from None


def _is_here(url: str) -> bool:
    """Whether the URL leads to this machine, so that the key in its files may be sent there."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _signer(
    url: str, given: str | None, *, as_logged_in: bool
) -> tuple[Callable[["httpx2.Request"], None], str | None]:
    """What puts credentials on each request, and where the API key is from if it is one.

    A login is renewed while a command goes on. Raises `CommandError`.
    """
    from millrace.cli import credentials

    if as_logged_in or (not os.environ.get(KEY_VARIABLE) and credentials.is_logged_in(url)):
        if not credentials.is_logged_in(url):
            raise CommandError(f"you are not logged in at {url}; use `millrace login`")

        def sign(request: "httpx2.Request") -> None:
            request.headers["Authorization"] = f"Bearer {credentials.access_token(url)}"

        return sign, None
    key = api_key(given)

    def sign_by_key(request: "httpx2.Request") -> None:
        request.headers["X-API-Key"] = key.text

    return sign_by_key, key.place


class Connection:
    """A signed-in HTTP connection to one server. Paths are relative to `/api/v1`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        silence: float = SILENCE_SECONDS,
        anonymous: bool = False,
        as_logged_in: bool = False,
    ) -> None:
        """`anonymous`: without credentials; `as_logged_in`: with those of `millrace login` and no others.

        `key_from` is where the API key was found that signs the requests, `None` where none does.
        """
        import httpx2

        self.url = server_url(url)
        self.key_from: str | None
        sign, self.key_from = (None, None) if anonymous else _signer(self.url, url, as_logged_in=as_logged_in)
        try:
            self._client: httpx2.Client = httpx2.Client(
                base_url=f"{self.url}/api/v1",
                event_hooks={"request": [] if sign is None else [sign]},
                timeout=silence,
                trust_env=False,
                verify=trusted(self.url),
            )
            if self._client.base_url.scheme not in ("http", "https") or not self._client.base_url.host.encode("idna"):
                raise ValueError(self.url)
        except (httpx2.InvalidURL, ValueError):
            raise CommandError(f"{self.url!r} is no URL of a server; one looks like http://127.0.0.1:8000") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        return self._send("GET", path, params={key: value for key, value in query.items() if value is not None})

    def get_slowly(self, path: str, *, silence: float, **query: str | int | None) -> Any:
        """As `get`, where the server may take so many seconds to answer."""
        import httpx2

        params = {key: value for key, value in query.items() if value is not None}
        return self._send("GET", path, params=params, timeout=httpx2.Timeout(10, read=silence))

    def pages(self, path: str, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **query, cursor=cursor, limit=LARGEST_PAGE)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def first(self, path: str, limit: int, **query: Any) -> dict[str, Any]:
        """The first `limit` items of a list, as one page: where a filter fits few rows, a page may hold few or none."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(path, **query, cursor=cursor, limit=min(LARGEST_PAGE, limit - len(items)))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) == limit:
                return {"items": items, "next_cursor": cursor}

    def post(self, path: str, body: JsonValue = None, *, headers: dict[str, str] | None = None) -> Any:
        return self._send_json("POST", path, {} if body is None else body, headers)

    def post_slowly(self, path: str, body: JsonValue, *, silence: float) -> Any:
        """As `post`, where the server may take so many seconds to answer."""
        import httpx2

        headers, timeout = {"Content-Type": "application/json"}, httpx2.Timeout(10, read=silence)
        return self._send("POST", path, content=_json(body), headers=headers, timeout=timeout)

    def tokens(self, form: dict[str, str]) -> Any:
        """Tokens for a form of OAuth 2. Raises `CommandError` with what the server says against it."""
        import httpx2

        try:
            response = self._client.post("/auth/token", data=form)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        if response.is_success:
            return response.json()
        problem = _problem(response)
        raise CommandError(str(problem.get("error_description") or problem_text(problem)))

    def put(self, path: str, body: JsonValue) -> Any:
        return self._send_json("PUT", path, body)

    def patch(self, path: str, body: JsonValue) -> Any:
        return self._send_json("PATCH", path, body)

    def send_text(self, method: str, path: str, text: bytes, media_type: str) -> Any:
        return self._send(method, path, content=text, headers={"Content-Type": media_type})

    def send_stream(self, path: str, parts: Iterator[bytes], media_type: str, *, size: int | None, **query: str) -> Any:
        """Post a body that is never in memory as a whole."""
        headers = {"Content-Type": media_type, **({} if size is None else {"Content-Length": str(size)})}
        return self._send("POST", path, content=parts, headers=headers, params=query)

    def delete(self, path: str) -> Any:
        return self._send("DELETE", path)

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        """The bytes of an answer as they come. An answer that breaks off is an error, whatever came of it."""
        with self.file(path) as (_, parts):
            yield parts

    @contextmanager
    def file(self, path: str, *, silence: float = 60) -> Iterator[tuple[str, Iterator[bytes]]]:
        """As `stream`, with the file's `ETag` before it; the server may be silent for so many seconds."""
        import httpx2

        try:
            with self._client.stream("GET", path, timeout=httpx2.Timeout(10, read=silence)) as response:
                if not response.is_success:
                    response.read()
                    raise ProblemError(response.status_code, _problem(response))
                yield response.headers.get("ETag", "").strip('"'), response.iter_bytes()
        except httpx2.RemoteProtocolError as error:
            raise CommandError(f"{self.url} broke off in the middle: {error}", EXIT_FAILED) from None
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    @contextmanager
    def lines(
        self, path: str, *, headers: dict[str, str], silence: float, **query: str | int | None
    ) -> Iterator[Iterator[str]]:
        """The lines of an answer as they come; after `silence` seconds without one the server counts as gone."""
        import httpx2

        params = {key: value for key, value in query.items() if value is not None}
        limits = httpx2.Timeout(10, read=silence)
        try:
            with self._client.stream("GET", path, params=params, headers=headers, timeout=limits) as response:
                if not response.is_success:
                    response.read()
                    raise ProblemError(response.status_code, _problem(response))
                yield response.iter_lines()
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> CommandError:
        message = f"no Millrace server answers at {self.url} ({error}); start one with `millrace up`"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            message = (
                f"the certificate of {self.url} is not believed ({error}); name its authority's file in MILLRACE_CA"
            )
        return CommandError(message, EXIT_UNREACHABLE)

    def _send_json(self, method: str, path: str, body: JsonValue, headers: dict[str, str] | None = None) -> Any:
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self._send(method, path, content=_json(body), headers=headers)

    def _send(self, method: str, path: str, **request: Any) -> Any:
        import httpx2

        try:
            response = self._client.request(method, path, **request)
        except httpx2.ReadTimeout:
            raise CommandError(f"{self.url} took too long to answer; it may still be at work", EXIT_FAILED) from None
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        if response.is_success:
            try:
                return response.json() if response.content else None
            except ValueError:
                raise CommandError(f"{self.url} answered without JSON; is it a Millrace server?") from None
        raise ProblemError(response.status_code, _problem(response))


def _json(body: JsonValue) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return _place_of_fault(body)


def _place_of_fault(body: JsonValue) -> bytes:
    """Says where in the body there is something that cannot be sent."""
    from millrace.client.errors import InvalidArgument
    from millrace.client.values import json_bytes

    try:
        return json_bytes(body)
    except InvalidArgument as error:
        raise CommandError(str(error)) from None


def _problem(response: "httpx2.Response") -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"title": f"HTTP {response.status_code}", "detail": response.text[:500]}


def problem_text(problem: dict[str, Any]) -> str:
    """A problem document for people: the detail, then each fault with its place and its remedy."""
    lines = [str(problem.get("detail") or problem.get("title") or "the server refused the request")]
    for fault in problem.get("faults", []):
        remedy = f" — {fault['remedy']}" if fault.get("remedy") else ""
        lines.append(f"  {fault['path'] or '(whole)'}: {fault['message']}{remedy}")
    return "\n".join(lines)


def end_with(error: CommandError) -> typer.Exit:
    """Print the error on stderr; raise what this answers."""
    say(f"error: {error}", err=True)
    return typer.Exit(error.status)
