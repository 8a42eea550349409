"""Whether an ID token can be believed (OpenID Connect Core 1.0, section 3.1.3.7).

Algorithms are named here and never by the token or the provider, and all of them are asymmetric: a public key is no
shared secret, and `none` is no signature.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from millrace.auth.oidc.claims import LONGEST, Claims

if TYPE_CHECKING:
    from joserfc.jwk import GuestProtocol, Key

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("RS256", "PS256"), ("RSA", "sha256")),
    **dict.fromkeys(("RS384", "PS384"), ("RSA", "sha384")),
    **dict.fromkeys(("RS512", "PS512"), ("RSA", "sha512")),
    "ES256": ("EC", "sha256"),
    "ES384": ("EC", "sha384"),
    "ES512": ("EC", "sha512"),
    "Ed25519": ("OKP", "sha512"),
}
"""By algorithm: the type of its keys, and its hash."""
LEEWAY: Final = 60
"""Seconds by which two clocks may differ."""
LATEST: Final = 2**48
"""Seconds since the epoch; no token holds for so long."""
LONGEST_TOKEN: Final = 65_536
"""Characters. Nothing longer is looked at; some providers list hundreds of groups."""
SHORTEST_RSA: Final = 256
"""Bytes of the modulus."""


class TokenRefused(Exception):
    """It is not believed. For the log: says what is wrong, and repeats nothing of it."""


class KeyUnknown(TokenRefused):
    """It names a key that the provider did not have when it was last asked."""


@dataclass(frozen=True, slots=True)
class Expected:
    issuer: str
    client_id: str
    nonce: str
    now: float
    """Seconds since the epoch."""
    access_token: str | None
    """The one that came with it, which its hash must fit, if it has one."""


def believed(token: str, keys: Sequence[Mapping[str, Any]], expected: Expected) -> Claims:
    """The claims. `keys`: those of the provider as it publishes them. Raises `TokenRefused`."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry

    if len(token) > LONGEST_TOKEN:
        raise TokenRefused("the token is too long")

    def key_of(guest: "GuestProtocol") -> "Key":
        return _key(guest.headers(), keys)

    # A header that nobody knows is passed over, unless the token says that it must be understood (`crit`).
    taken = JWSRegistry(algorithms=list(KINDS), strict_check_header=False)
    try:
        read = jwt.decode(token, key_of, algorithms=list(KINDS), registry=taken)
    except TokenRefused:
        raise
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise TokenRefused(f"it cannot be verified ({type(error).__name__})") from None
    claims: Claims = read.claims
    _check_origin(claims, expected)
    _check_times(claims, expected.now)
    _check_hash(claims, str(read.header["alg"]), expected.access_token)
    return claims


def _key(header: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> "Key":
    from joserfc.jwk import import_key

    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in KINDS:
        raise TokenRefused("its algorithm is none of those that are taken")
    kind = KINDS[algorithm][0]
    fitting = [
        key
        for key in keys
        if key.get("kty") == kind
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (key_id is None or key.get("kid") == key_id)
    ]
    if not fitting:
        raise KeyUnknown("the provider has no such key")
    if len(fitting) > 1:
        raise TokenRefused("it does not say which of several keys it is signed with")
    (found,) = fitting
    if kind == "RSA" and len(_decoded(found.get("n"))) < SHORTEST_RSA:
        raise TokenRefused("the key is too short")
    return import_key({name: value for name, value in found.items() if isinstance(value, str)})


def _check_origin(claims: Claims, expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise TokenRefused("it is of another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in audiences:
        raise TokenRefused("it is for another client")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and party != expected.client_id:
        raise TokenRefused("it was given to another client")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise TokenRefused("it is of another login")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= LONGEST or not subject.isprintable():
        raise TokenRefused("it does not say of whom it is")


def _check_times(claims: Claims, now: float) -> None:
    ends, issued = _moment(claims, "exp"), _moment(claims, "iat")
    begins = issued if claims.get("nbf") is None else _moment(claims, "nbf")
    if now - LEEWAY >= ends:
        raise TokenRefused("its time is over")
    if max(issued, begins) > now + LEEWAY:
        raise TokenRefused("it is from the future")


def _moment(claims: Claims, name: str) -> float:
    value = claims.get(name)
    # What JSON readers take for numbers can also be none at all, infinite, or have hundreds of digits.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
        raise TokenRefused(f"its {name} is no time")
    return value


def _check_hash(claims: Claims, algorithm: str, access_token: str | None) -> None:
    given = claims.get("at_hash")
    if given is None or access_token is None:
        return
    digest = hashlib.new(KINDS[algorithm][1], access_token.encode()).digest()
    if not isinstance(given, str) or not hmac.compare_digest(_decoded(given), digest[: len(digest) // 2]):
        raise TokenRefused("it came with another access token")


def _decoded(text: object) -> bytes:
    """What base64url means; nothing for anything else."""
    try:
        return base64.urlsafe_b64decode(str(text) + "=" * (-len(str(text)) % 4))
    except (binascii.Error, ValueError):
        return b""
