"""A login that has begun at the provider and not come back: its browser keeps it, in a signed cookie.

So nothing of it is in a process or in the database, whoever begins a million of them fills nothing, and any process of
the installation can take the answer.
"""

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from millrace.auth.vault.vault import Vault
from millrace.core.durations import UNITS
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import Duration, Instant
from millrace.ports.clock import Clock

PURPOSE: Final = "oidc login"
HOLDS: Final[Duration] = 10 * UNITS["m"]
LONGEST_PATH: Final = 512
"""Characters of the path to go on at: with all the rest it must fit into a cookie."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command line that waits for a login, and gets a code for it."""

    challenge: str
    """Of the verifier that it will show when it exchanges the code (RFC 7636, S256)."""
    port: int | None
    """At which it listens on the machine of the browser; `None`: the code is shown, to be typed."""


@dataclass(frozen=True, slots=True)
class Pending:
    state: str
    nonce: str
    verifier: str
    expires_at: Instant
    next: str
    program: Program | None = None


class PendingLogins:
    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def begin(self, path: str, program: Program | None) -> tuple[Pending, str]:
        """A new one, and the text that its browser keeps. Raises `InvalidRequest` for a path that leads elsewhere."""
        pending = Pending(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(32),
            expires_at=self._clock.now() + HOLDS,
            next=checked_path(path),
            program=program,
        )
        return pending, self._vault.sign(PURPOSE, orjson.dumps(asdict(pending)))

    def read(self, text: str) -> Pending | None:
        """The login that the text is about; `None` unless this installation began it, and not too long ago."""
        content = self._vault.signed(PURPOSE, text)
        if content is None:
            return None
        found = orjson.loads(content)
        program = None if found["program"] is None else Program(**found["program"])
        pending = Pending(**{**found, "program": program})
        return pending if self._clock.now() < pending.expires_at else None


def checked_path(path: str) -> str:
    """A path of this server, and nothing that a browser could take for another one's address."""
    plain = all("!" <= character <= "~" for character in path) and "\\" not in path
    if not plain or not path.startswith("/") or path.startswith("//") or len(path) > LONGEST_PATH:
        fault = Fault("query.next", "value", "this is no path of this server", "write such as /runs, or leave it out")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return path


def challenge_of(verifier: str) -> str:
    """S256 (RFC 7636, section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
