"""Where the server is and which key opens it: by the rules and names of the command line.

The URL: what is given, `MILLRACE_URL`, the note of a running server in `$MILLRACE_HOME/server.json`, or the host and
port of the settings, in this order. The key: what is given, `MILLRACE_API_KEY`, the file `$MILLRACE_HOME/api-key`,
which is sent only to a server that was found by itself or is at a loopback address.
"""

import json
import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx2

from millrace.client.errors import InvalidArgument, NoApiKey

LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Location:
    """A server and the key to it, which no representation shows."""

    url: str
    api_key: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The URL for messages: without a user and a password, should it have them."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def locate(url: str | None, api_key: str | None) -> Location:
    """Raises `InvalidArgument` for what can be no URL or no key, and `NoApiKey`."""
    named = url or os.environ.get("MILLRACE_URL")
    wanted = named or _noted() or _configured()
    if not wanted.startswith(("http://", "https://")):
        raise InvalidArgument("url", "the URL of the server begins with http:// or https://")
    _require_url(wanted)
    key = api_key or os.environ.get("MILLRACE_API_KEY")
    if not key:
        if named and not _is_here(named):
            raise NoApiKey("no API key: for a server elsewhere give api_key or set MILLRACE_API_KEY")
        key = _written()
    return Location(wanted.rstrip("/"), _checked(key))


def _is_here(url: str) -> bool:
    """Whether the URL leads to this machine, so that the key in its files may be sent there."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _require_url(url: str) -> None:
    """What no request could go to is refused here. The URL is not repeated: it may hold a password."""
    try:
        parsed = httpx2.URL(url)
        parsed.host.encode("idna")
    except (httpx2.InvalidURL, ValueError):
        raise InvalidArgument("url", "this is no URL of a server; it looks like http://127.0.0.1:8000") from None
    if not parsed.host or (parsed.port or 0) > LAST_PORT:
        raise InvalidArgument("url", f"the URL of the server needs a host, and a port up to {LAST_PORT} if any")


def home() -> Path:
    try:
        return Path(os.environ.get("MILLRACE_HOME", "~/.millrace")).expanduser()
    except RuntimeError as error:
        raise InvalidArgument("MILLRACE_HOME", f"{error}; name the folder in full") from None


def _noted() -> str | None:
    try:
        return str(json.loads((home() / "server.json").read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _configured() -> str:
    host, port = os.environ.get("MILLRACE_HOST", "127.0.0.1"), os.environ.get("MILLRACE_PORT", "8000")
    return f"http://{host}:{port}"


def _written() -> str:
    place = home() / "api-key"
    try:
        return place.read_text(errors="replace").strip()
    except OSError:
        raise NoApiKey(
            f"no API key: give one, set MILLRACE_API_KEY, or start the server once; it writes the first key to {place}"
        ) from None


def _checked(key: str) -> str:
    """What cannot be a header is refused here, since the library below would quote it in its error."""
    if not key or not all("!" <= character <= "~" for character in key):
        raise InvalidArgument("api_key", "the API key must be visible ASCII characters without spaces")
    return key
