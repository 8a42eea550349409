"""S4: JSON Web Tokens of webhooks: what is taken, and every known way to pass for one."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from millrace.core.values import SECOND
from millrace.triggers.webhook import tokens
from millrace.triggers.webhook.trust import NotTrusted, UnusableKey

NOW = 1_800_000_000
SECRET = "a secret that is long enough for all of the hash functions, sha512 with its 64 bytes included"


def pem(key: Any) -> str:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return str(public.decode())


RSA = rsa.generate_private_key(65537, 2048)
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def pair(algorithm: str) -> tuple[Any, str]:
    """What signs, and the text that verifies."""
    if algorithm.startswith("HS"):
        return OctKey.import_key(SECRET), SECRET
    made: Any
    kind: Any
    if algorithm.startswith("ES"):
        made, kind = ec.generate_private_key(CURVES[algorithm]), ECKey
    else:
        made, kind = RSA, RSAKey
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return kind.import_key(private.decode()), pem(made)


def token(algorithm: str, key: Any, **claims: Any) -> str:
    made = {"exp": NOW + 60, **claims}
    return jwt.encode({"alg": algorithm}, {k: v for k, v in made.items() if v is not None}, key, [algorithm])


def verify(text: str, key: str, *algorithms: str, **options: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"issuer": None, "audience": None, "leeway": 30, "now": NOW * SECOND, **options}
    return tokens.verify(text, key, algorithms, **wanted)


ALL = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


@pytest.mark.parametrize("algorithm", ALL)
def test_each_algorithm(algorithm: str) -> None:
    private, public = pair(algorithm)
    assert verify(token(algorithm, private, sub="ada"), public, algorithm)["sub"] == "ada"
    head, body, signature = token(algorithm, private).split(".")
    forged = base64.urlsafe_b64encode(b'{"exp": 99999999999}').rstrip(b"=").decode()
    with pytest.raises(NotTrusted):
        verify(f"{head}.{forged}.{signature}", public, algorithm)
    with pytest.raises(NotTrusted):
        verify(f"{head}.{body}.", public, algorithm)


def raw(header: dict[str, Any], claims: dict[str, Any], key: bytes | None) -> str:
    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    signature = b"" if key is None else hmac.new(key, signed, hashlib.sha256).digest()
    return (signed + b"." + part(signature)).decode()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None])
def test_no_algorithm_is_none(alg: str | None) -> None:
    header = {} if alg is None else {"alg": alg}
    for key, algorithm in ((SECRET, "HS256"), (pem(RSA), "RS256")):
        with pytest.raises(NotTrusted):
            verify(raw(header, {"exp": NOW + 60}, None), key, algorithm)


def test_a_public_key_is_no_secret() -> None:
    forged = raw({"alg": "HS256"}, {"exp": NOW + 60}, pem(RSA).encode())
    with pytest.raises(NotTrusted):
        verify(forged, pem(RSA), "RS256")
    with pytest.raises(UnusableKey):
        verify(forged, pem(RSA), "HS256")


def test_an_algorithm_that_is_not_named_is_refused() -> None:
    private, public = pair("RS256")
    with pytest.raises(NotTrusted):
        verify(token("RS256", private), public, "PS256")
    secret, text = pair("HS512")
    with pytest.raises(NotTrusted):
        verify(token("HS512", secret), text, "HS256")


def test_keys_in_the_token_are_not_looked_at() -> None:
    own = RSAKey.generate_key(2048)
    text = jwt.encode({"alg": "RS256", "jwk": own.as_dict(private=False)}, {"exp": NOW + 60}, own)
    with pytest.raises(NotTrusted):
        verify(text, pem(RSA), "RS256")


@pytest.mark.parametrize(
    ("claims", "options", "says"),
    [
        ({"exp": None}, {}, "exp"),
        ({"exp": NOW - 31}, {}, "expired"),
        ({"exp": "soon"}, {}, "exp"),
        ({"exp": float("inf")}, {}, "no token|exp"),
        ({"nbf": NOW + 31}, {}, "not yet valid"),
        ({"iat": NOW + 31}, {}, "in the future"),
        ({}, {"issuer": "https://id"}, "iss"),
        ({"iss": "https://other"}, {"issuer": "https://id"}, "iss"),
        ({"iss": ["https://id"]}, {"issuer": "https://id"}, "iss"),
        ({}, {"audience": "me"}, "aud"),
        ({"aud": "you"}, {"audience": "me"}, "aud"),
        ({"aud": ["you", "them"]}, {"audience": "me"}, "aud"),
        ({"aud": "you"}, {}, "names no `audience`"),
    ],
)
def test_claims_that_are_not_right(claims: dict[str, Any], options: dict[str, Any], says: str) -> None:
    secret, text = pair("HS256")
    with pytest.raises(NotTrusted, match=says):
        verify(token("HS256", secret, **claims), text, "HS256", **options)


def test_claims_that_are_right() -> None:
    secret, text = pair("HS256")
    given = token("HS256", secret, iss="https://id", aud=["you", "me"], exp=NOW - 29, nbf=NOW + 29)
    assert verify(given, text, "HS256", issuer="https://id", audience="me")


@pytest.mark.parametrize(
    "text", ["", "a", "a.b.c", "...", "é.é.é", "a" * 9_000, "e30.e30.e30", "W10.W10.", "e30.e30.e30.e30.e30"]
)
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(NotTrusted):
        verify(text, SECRET, "HS256")


@pytest.mark.parametrize(("key", "algorithm"), [("no pem", "RS256"), (pem(RSA), "ES256")])
def test_a_key_of_another_kind_is_told(key: str, algorithm: str) -> None:
    secret, _ = pair("HS256")
    with pytest.raises(UnusableKey):
        verify(token("HS256", secret), key, algorithm)


@pytest.mark.parametrize("part", [b"[" * 5_000, b'{"a":' * 1_000, b"\xff", b"[]", b"1"])
def test_what_is_nested_or_no_mapping_is_no_token(part: bytes) -> None:
    text = base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode()
    signed = f"{head}.{text}"
    signature = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
    for token_ in (f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", f"{text}.e30.e30"):
        with pytest.raises(NotTrusted):
            verify(token_, SECRET, "HS256")


def test_a_key_of_another_curve_trusts_nobody() -> None:
    private, _ = pair("ES256")
    with pytest.raises((NotTrusted, UnusableKey)):
        verify(token("ES256", private), pair("ES384")[1], "ES256")


def test_what_is_critical_and_unknown_is_refused() -> None:
    text = raw({"alg": "HS256", "crit": ["x"], "x": 1}, {"exp": NOW + 60}, SECRET.encode())
    with pytest.raises(NotTrusted):
        verify(text, SECRET, "HS256")
