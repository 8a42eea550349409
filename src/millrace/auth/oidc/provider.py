"""The provider: what it says of itself, its keys, and the exchange of a code for an ID token that can be believed.

Document and keys are kept for an hour; keys are asked for again when a token names one that is not among them, at most
once a minute. While the provider is away that is remembered for a moment, so that nobody can have us ask all the time.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from millrace.auth.oidc.claims import Claims, completed, value_of
from millrace.auth.oidc.fetching import fetched, shown, unavailable
from millrace.auth.oidc.pending import Pending, challenge_of
from millrace.auth.oidc.tokens import Expected, KeyUnknown, TokenRefused, believed
from millrace.core.durations import UNITS
from millrace.core.errors import Unavailable
from millrace.core.values import SECOND, Duration, Instant, JsonObject, JsonValue
from millrace.ports.clock import Clock
from millrace.ports.http import HttpClient

T = TypeVar("T")

DOCUMENT: Final = "/.well-known/openid-configuration"
KEPT: Final[Duration] = UNITS["h"]
SEARCHED_AGAIN: Final[Duration] = UNITS["m"]
AWAY_FOR: Final[Duration] = 5 * SECOND
"""So long nobody asks again."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the provider knows this installation as."""

    issuer: str
    id: str
    secret: str | None = field(repr=False)
    scopes: str
    redirect_uri: str
    groups_claim: str | None
    """Where roles follow it."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The provider's document, as far as it is used (OpenID Connect Discovery 1.0, section 3)."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    end_session: str | None
    takes_basic: bool
    """Whether it takes the secret of a client in a header."""
    names_itself: bool
    """Whether its answers say which issuer they are of (RFC 9207)."""


class Provider:
    def __init__(self, http: HttpClient, clock: Clock, client: Client) -> None:
        self._http = http
        self._clock = clock
        self.client = client
        self._metadata = _Kept(self._read_metadata, clock)
        self._keys = _Kept(self._read_keys, clock)
        self._searched_at: Instant = 0

    async def login_url(self, pending: Pending) -> str:
        """Where to send the browser. Raises `Unavailable`."""
        metadata = await self._metadata.get()
        query = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge_of(pending.verifier),
            "code_challenge_method": "S256",
        }
        return _with_query(metadata.authorization, query)

    async def logout_url(self) -> str | None:
        """Where a browser logs out at the provider; `None` if that is nowhere, or not to be had now."""
        try:
            metadata = await self._metadata.get()
        except Unavailable:
            return None
        end = metadata.end_session
        return None if end is None else _with_query(end, {"client_id": self.client.id})

    async def answered_by(self, issuer: str | None) -> bool:
        """Whether an answer that names this issuer, or none, can be of this provider and of no other."""
        if issuer is None:
            return not (await self._metadata.get()).names_itself
        return issuer == self.client.issuer

    async def claims_for(self, code: str, pending: Pending) -> Claims:
        """Who has logged in. Raises `TokenRefused`, and `Unavailable`."""
        given = await self._exchange(code, pending.verifier)
        token, access_token = given.get("id_token"), given.get("access_token")
        if not isinstance(token, str):
            raise TokenRefused("the provider gave no ID token")
        access = access_token if isinstance(access_token, str) else None
        now = self._clock.now() / SECOND
        claims = await self._believed(token, Expected(self.client.issuer, self.client.id, pending.nonce, now, access))
        return await self._completed(claims, access)

    # --- what is asked of it ------------------------------------------------------------------------------------------

    async def _exchange(self, code: str, verifier: str) -> JsonObject:
        metadata, client = await self._metadata.get(), self.client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        if client.secret is not None and metadata.takes_basic:
            headers["Authorization"] = _basic(client.id, client.secret)
        else:
            form["client_id"] = client.id
            if client.secret is not None:
                form["client_secret"] = client.secret
        status, given = await fetched(self._http, metadata.token, headers=headers, form=urlencode(form))
        if status == 200:
            return given
        if status == 400 and given.get("error") == "invalid_grant":
            raise TokenRefused("the provider does not take the code: it was used, is over, or is of another login")
        raise unavailable(f"{shown(metadata.token)} answered {status}, error {str(given.get('error'))[:100]!r}")

    async def _believed(self, token: str, expected: Expected) -> Claims:
        try:
            return believed(token, await self._keys.get(), expected)
        except KeyUnknown:
            now = self._clock.now()
            if now - self._searched_at < SEARCHED_AGAIN:
                raise
            self._searched_at = now
            return believed(token, await self._keys.renewed(), expected)

    async def _completed(self, claims: Claims, access_token: str | None) -> Claims:
        """With what the provider tells of the user elsewhere, where the token leaves out what is needed."""
        wanted = ["email", *([self.client.groups_claim] if self.client.groups_claim else [])]
        userinfo = (await self._metadata.get()).userinfo
        if userinfo is None or access_token is None or all(value_of(claims, name) is not None for name in wanted):
            return claims
        status, told = await fetched(self._http, userinfo, headers={"Authorization": f"Bearer {access_token}"})
        if status != 200:
            raise unavailable(f"{shown(userinfo)} answered {status}")
        if told.get("sub") != claims["sub"]:
            raise TokenRefused("what the provider tells is of another user")
        return completed(claims, told)

    # --- what it says of itself ---------------------------------------------------------------------------------------

    async def _read_metadata(self) -> Metadata:
        url = self.client.issuer.rstrip("/") + DOCUMENT
        status, found = await fetched(self._http, url)
        if status != 200:
            raise unavailable(f"{url} answered {status}")
        if found.get("issuer") != self.client.issuer:
            said = str(found.get("issuer"))[:200]
            raise unavailable(f"{url} is of the issuer {said!r}; MILLRACE_OIDC_ISSUER must be the same, to the letter")
        methods = found.get("token_endpoint_auth_methods_supported")
        return Metadata(
            authorization=self._needed(found, "authorization_endpoint"),
            token=self._needed(found, "token_endpoint"),
            keys=self._needed(found, "jwks_uri"),
            userinfo=self._address(found, "userinfo_endpoint"),
            end_session=self._address(found, "end_session_endpoint"),
            takes_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
            names_itself=found.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _read_keys(self) -> Sequence[Mapping[str, JsonValue]]:
        url = (await self._metadata.get()).keys
        status, found = await fetched(self._http, url)
        keys = found.get("keys")
        if status != 200 or not isinstance(keys, list):
            raise unavailable(f"{shown(url)} answered {status} and no keys")
        return [key for key in keys if isinstance(key, dict)]

    def _needed(self, found: JsonObject, name: str) -> str:
        address = self._address(found, name)
        if address is None:
            raise unavailable(f"the document of {self.client.issuer} has no {name} at https://")
        return address

    def _address(self, found: JsonObject, name: str) -> str | None:
        """One that codes and tokens may be sent to."""
        url = found.get(name)
        if not isinstance(url, str) or not all("!" <= character <= "~" for character in url):
            return None
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            return None
        # An issuer at http:// is on this machine, which the settings see to.
        here = parts.scheme == "http" and self.client.issuer.startswith("http:")
        here = here and host == urlsplit(self.client.issuer).hostname
        return url if host and (parts.scheme == "https" or here) else None


class _Kept(Generic[T]):
    """What is asked for once by all who need it, and kept for a while; so is that it was not to be had."""

    def __init__(self, read: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: tuple[T, Instant] | None = None
        self._failed: tuple[str, str, Instant] | None = None

    async def get(self) -> T:
        async with self._lock:
            now = self._clock.now()
            if self._found is not None and now - self._found[1] < KEPT:
                return self._found[0]
            return await self._fresh(now)

    async def renewed(self) -> T:
        async with self._lock:
            return await self._fresh(self._clock.now())

    async def _fresh(self, now: Instant) -> T:
        if self._failed is not None and now - self._failed[2] < AWAY_FOR:
            raise Unavailable(*self._failed[:2])
        try:
            found = await self._read()
        except Unavailable as error:
            self._failed = (error.code, error.message, now)
            raise
        self._found, self._failed = (found, now), None
        return found


def _basic(client_id: str, secret: str) -> str:
    """Both as in a form (RFC 6749, section 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _with_query(url: str, query: Mapping[str, str]) -> str:
    """A provider's address may have a query of its own, and its fragment would swallow ours."""
    plain = url.partition("#")[0]
    return f"{plain}{'&' if '?' in plain else '?'}{urlencode(query, quote_via=quote)}"
