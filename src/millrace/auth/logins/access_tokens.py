"""Access tokens: JSON Web Tokens that say which login they belong to, for a short time. HS256 and nothing else.

Their key is derived from an encryption key of the vault, whose id is the token's `kid`: what was signed before a
rotation holds after it. A token alone opens nothing: its login is read at every request.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millrace.auth.vault.vault import Vault
from millrace.core.values import SECOND, Duration, Instant

if TYPE_CHECKING:
    from joserfc.jwk import GuestProtocol, OctKey

PURPOSE: Final = "access token"
ALGORITHM: Final = "HS256"
TYPE: Final = "at+jwt"
AUDIENCE: Final = "millrace"
LONGEST: Final = 4_096
"""Characters. Nothing longer is looked at."""

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claims:
    user_id: str
    session_id: str


class AccessTokens:
    def __init__(self, vault: Vault, lifetime: Duration) -> None:
        self._vault = vault
        self.lifetime = lifetime

    def make(self, installation_id: str, claims: Claims, now: Instant) -> str:
        from joserfc import jwt
        from joserfc.jwk import OctKey

        key_id, key = self._vault.own_key(PURPOSE)
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": key_id}
        said = {
            "iss": installation_id,
            "aud": AUDIENCE,
            "sub": claims.user_id,
            "sid": claims.session_id,
            "iat": now // SECOND,
            "exp": (now + self.lifetime) // SECOND,
        }
        return jwt.encode(header, said, OctKey.import_key(key), algorithms=[ALGORITHM])

    def read(self, installation_id: str, token: str, now: Instant) -> Claims | None:
        """What a token says; `None` unless this installation made it, and its time is not over."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        if len(token) > LONGEST or not _FORM.fullmatch(token):
            return None
        try:
            read = jwt.decode(token, self._key_named, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return None
        said = read.claims
        user_id, session_id, ends = said.get("sub"), said.get("sid"), said.get("exp")
        if read.header.get("typ") != TYPE or said.get("iss") != installation_id or said.get("aud") != AUDIENCE:
            return None
        if not isinstance(user_id, str) or not isinstance(session_id, str) or type(ends) is not int:
            return None
        return Claims(user_id, session_id) if now < ends * SECOND else None

    def _key_named(self, token: "GuestProtocol") -> "OctKey":
        from joserfc.jwk import OctKey

        key_id = token.headers().get("kid")
        key = self._vault.own_key_of(PURPOSE, key_id) if isinstance(key_id, str) else None
        if key is None:
            raise ValueError("the token names no key of this installation")
        return OctKey.import_key(key)
