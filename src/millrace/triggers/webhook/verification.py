"""Who sent a request: the one question before anything of it is believed. What cannot be verified is refused."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from millrace.core.values import Instant
from millrace.triggers.webhook import signatures
from millrace.triggers.webhook.authentication import (
    ApiKeyAuthentication,
    Authentication,
    BasicAuthentication,
    HmacAuthentication,
    JwtAuthentication,
    NoAuthentication,
)
from millrace.triggers.webhook.fields import secret_name
from millrace.triggers.webhook.signatures import NotSigned
from millrace.triggers.webhook.trust import NotTrusted


class NotVerified(Exception):
    """The request does not show what it should. `challenge` is what the answer asks for (`WWW-Authenticate`)."""

    def __init__(self, reason: str, challenge: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it came in."""

    headers: Mapping[str, str]
    """By lower-case names; of several with one name, all, with `, ` between them."""
    body: bytes


def verify(wanted: Authentication, secrets: Mapping[str, str], sent: Sent, now: Instant) -> str | None:
    """What tells a signed request from all others; `None` where nothing signs the request itself.

    `secrets` has those that `wanted.secrets` names. Raises `NotVerified`, and `trust.UnusableKey`.
    """
    match wanted:
        case NoAuthentication():
            return None
        case ApiKeyAuthentication():
            _api_key(wanted, _value(wanted.value, secrets), sent)
            return None
        case BasicAuthentication():
            _basic(wanted, _value(wanted.password, secrets), sent)
            return None
        case HmacAuthentication():
            return _hmac(wanted, _value(wanted.secret, secrets), sent, now)
        case JwtAuthentication():
            _jwt(wanted, _value(wanted.key, secrets), sent, now)
            return None
        case _:
            assert_never(wanted)


def _value(reference: str, secrets: Mapping[str, str]) -> str:
    name = secret_name(reference)
    return reference if name is None else secrets[name]


def _api_key(wanted: ApiKeyAuthentication, key: str, sent: Sent) -> None:
    given = sent.headers.get(wanted.header.lower())
    if given is None:
        raise NotVerified(f"there is no header {wanted.header}", "ApiKey")
    if not _same(given, key):
        raise NotVerified(f"the key in {wanted.header} is wrong", "ApiKey")


def _basic(wanted: BasicAuthentication, password: str, sent: Sent) -> None:
    challenge = 'Basic realm="webhook", charset="UTF-8"'
    text = _authorization(sent, "basic", challenge)
    try:
        given = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotVerified("what follows Basic is not base64", challenge) from None
    # One comparison, so that the time it takes does not tell whether the name was right.
    if not hmac.compare_digest(given, f"{wanted.username}:{password}".encode()):
        raise NotVerified("the user name or the password is wrong", challenge)


def _hmac(wanted: HmacAuthentication, secret: str, sent: Sent, now: Instant) -> str:
    try:
        return signatures.verify(
            wanted.scheme, secret, sent.headers, sent.body, now=now, tolerance=wanted.tolerance_seconds
        )
    except NotSigned as error:
        raise NotVerified(str(error), "Signature") from None


def _jwt(wanted: JwtAuthentication, key: str, sent: Sent, now: Instant) -> None:
    # With all that it needs it would take a twentieth of every start, and five megabytes.
    from millrace.triggers.webhook import tokens

    token = _authorization(sent, "bearer", "Bearer")
    try:
        tokens.verify(
            token,
            key,
            tuple(wanted.algorithms),
            issuer=wanted.issuer,
            audience=wanted.audience,
            leeway=wanted.leeway_seconds,
            now=now,
        )
    except NotTrusted as error:
        raise NotVerified(str(error), 'Bearer error="invalid_token"') from None


def _authorization(sent: Sent, kind: str, challenge: str) -> str:
    given = sent.headers.get("authorization", "")
    scheme, _, text = given.partition(" ")
    if scheme.lower() != kind or not text.strip():
        raise NotVerified(f"there is no header Authorization: {kind.capitalize()} …", challenge)
    return text.strip()


def _same(given: str, expected: str) -> bool:
    # Servers hand headers on as Latin-1, whatever bytes came in.
    return hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode())


def missing_header(wanted: Mapping[str, str], given: Mapping[str, str]) -> str | None:
    """The first header that a request must have and has not, or has with another value."""
    for name, value in wanted.items():
        if not _same(given.get(name.lower(), ""), value) or name.lower() not in given:
            return name
    return None
