"""What `millrace login` has got from a server: an access token, and the refresh token that gives the next ones.

They are kept in `$XDG_CONFIG_HOME/millrace/credentials`, which only its owner can read, for each server by its URL. A
refresh token can be used once, so of several commands at the same time one refreshes, and the others wait for it.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millrace.cli.connection import EXIT_UNREACHABLE, CommandError, trusted

EARLY = 10.0
"""Seconds before the end of an access token from which the next one is fetched."""
PATIENCE = 30.0
"""Seconds for the server to answer."""


def place() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "millrace" / "credentials"


def is_logged_in(url: str) -> bool:
    return url in _read()


def keep(url: str, tokens: dict[str, Any]) -> None:
    """Tokens as the server has given them."""
    kept = {
        "access_token": tokens["access_token"],
        "refresh_token": tokens["refresh_token"],
        "expires_at": time.time() + tokens["expires_in"],
    }
    with _alone():
        _write({**_read(), url: kept})


def forget(url: str) -> None:
    with _alone():
        _write({server: kept for server, kept in _read().items() if server != url})


def access_token(url: str) -> str:
    """One that holds. Raises `CommandError` if the login has ended."""
    kept = _read().get(url)
    if kept is None or kept["expires_at"] - EARLY <= time.time():
        with _alone():
            # Another command may have been quicker.
            kept = _read().get(url)
            if kept is None:
                raise _ended(url)
            if kept["expires_at"] - EARLY <= time.time():
                kept = _refreshed(url, kept)
    return str(kept["access_token"])


def _refreshed(url: str, kept: dict[str, Any]) -> dict[str, Any]:
    import httpx2

    body = {"refresh_token": kept["refresh_token"]}
    try:
        response = httpx2.post(
            f"{url}/api/v1/auth/refresh", json=body, timeout=PATIENCE, trust_env=False, verify=trusted(url)
        )
    except httpx2.HTTPError as error:
        raise CommandError(f"no Millrace server answers at {url} ({error})", EXIT_UNREACHABLE) from None
    others = {server: tokens for server, tokens in _read().items() if server != url}
    if response.status_code == 401:
        _write(others)
        raise _ended(url)
    if not response.is_success:
        raise CommandError(f"the login could not be renewed: {url} answers {response.status_code}; try again later")
    given = response.json()
    fresh = {
        "access_token": given["access_token"],
        "refresh_token": given["refresh_token"],
        "expires_at": time.time() + given["expires_in"],
    }
    _write({**others, url: fresh})
    return fresh


def _ended(url: str) -> CommandError:
    return CommandError(f"the login at {url} has ended; log in again with `millrace login`")


def _read() -> dict[str, Any]:
    try:
        found = json.loads(place().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CommandError(f"{place()} cannot be read: {error}; delete it and log in again") from None
    return found if isinstance(found, dict) else {}


def _write(content: dict[str, Any]) -> None:
    """Whole or not at all, and never readable by others."""
    where = place()
    fresh = where.with_name(f".{where.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    fresh.replace(where)


@contextmanager
def _alone() -> Iterator[None]:
    """As long as it lasts no other command changes the file."""
    folder = place().parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / ".credentials.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandError(f"logins cannot be kept in {folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
