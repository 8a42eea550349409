"""JSON Web Tokens (RFC 7519): the algorithms are those of the config, whatever a token says of itself.

Each kind of key is read as what it is, so a public key is never taken for the secret of an HMAC; `none` is no
algorithm. A token without an end is refused, and one that is for somebody else, too.
"""

from functools import lru_cache
from typing import Any, TypeAlias

from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyLengthError,
    JoseError,
    MissingClaimError,
)
from joserfc.jwk import ECKey, OctKey, RSAKey

from millrace.core.values import SECOND, Instant
from millrace.triggers.webhook.trust import NotTrusted, UnusableKey

Key: TypeAlias = OctKey | RSAKey | ECKey

LONGEST_TOKEN = 8_192
_KINDS: dict[str, type[RSAKey] | type[ECKey]] = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey}


def verify(
    token: str,
    key: str,
    algorithms: tuple[str, ...],
    *,
    issuer: str | None,
    audience: str | None,
    leeway: int,
    now: Instant,
) -> dict[str, Any]:
    """What the token claims. Raises `NotTrusted`, and `UnusableKey` if the fault is this side's."""
    if len(token) > LONGEST_TOKEN:
        raise NotTrusted(f"the token is longer than {LONGEST_TOKEN} characters")
    made = _key(key, algorithms)
    try:
        read = jwt.decode(token, made, algorithms=list(algorithms))
        if audience is None and read.claims.get("aud") is not None:
            raise NotTrusted("the token is for somebody named (`aud`), and this webhook names no `audience`")
        _claims(issuer, audience, leeway, now // SECOND).validate(read.claims)
    except BadSignatureError:
        raise NotTrusted("the signature of the token is wrong") from None
    except ExpiredTokenError:
        raise NotTrusted("the token has expired") from None
    except (MissingClaimError, InvalidClaimError) as error:
        raise NotTrusted(f"a claim of the token is missing or not the right one: {error.description}") from None
    except InvalidKeyLengthError as error:
        raise UnusableKey(f"the key is too short: {error.description}") from None
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise NotTrusted(f"this is no token that is signed with {', '.join(algorithms)}") from None
    return read.claims


def _claims(issuer: str | None, audience: str | None, leeway: int, now: int) -> jwt.JWTClaimsRegistry:
    wanted: dict[str, jwt.ClaimsOption] = {"exp": {"essential": True}}
    if issuer is not None:
        wanted["iss"] = {"essential": True, "value": issuer}
    if audience is not None:
        wanted["aud"] = {"essential": True, "value": audience}
    return jwt.JWTClaimsRegistry(now=now, leeway=leeway, **wanted)


@lru_cache(256)
def _key(text: str, algorithms: tuple[str, ...]) -> Key:
    """Reading a PEM takes longer than to verify with it."""
    try:
        if algorithms[0].startswith("HS"):
            return OctKey.import_key(text)
        return _KINDS[algorithms[0][:2]].import_key(text)
    except (JoseError, ValueError, TypeError) as error:
        raise UnusableKey(f"the key cannot be read as one for {', '.join(algorithms)}") from error
