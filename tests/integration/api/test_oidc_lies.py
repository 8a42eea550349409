"""I1: what a login provider says is believed only as far as it is signed, meant for us, and of this very login.

The provider here says whatever a test has it say.
"""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from millrace.auth.oidc.pending import challenge_of
from millrace.core.durations import UNITS
from millrace.system import SystemClock
from tests.support.api import problem
from tests.support.clock import FakeClock
from tests.support.false_provider import FalseProvider
from tests.support.installation import Installation, installation
from tests.support.logins import set_up

PUBLIC = "https://millrace.test"
OIDC = "/api/v1/auth/oidc"
COOKIE = "__Host-millrace_oidc"
VERIFIER = "v" * 43
ADMIN, HIS = "admin@example.com", "his@example.com"


@pytest.fixture
def provider() -> Iterator[FalseProvider]:
    with FalseProvider() as running:
        yield running


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock(SystemClock().now())


@pytest.fixture
async def millrace(
    tmp_path: Path, database_url: str | None, provider: FalseProvider, clock: FakeClock
) -> AsyncIterator[Installation]:
    settings = provider.settings(PUBLIC)
    async with installation(tmp_path / "home", database_url, login_clock=clock, login_settings=settings) as running:
        yield running


async def begun(client: httpx2.AsyncClient) -> dict[str, str]:
    """What the provider is sent."""
    response = await client.get(f"{OIDC}/login")
    assert response.status_code == 303, response.text
    assert "Secure" in response.headers["Set-Cookie"]
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["Location"]).query).items()}


async def answered(
    millrace: Installation, provider: FalseProvider, token: Callable[[str], str], place: int = 1, **more: Any
) -> httpx2.Response:
    """The answer to a login that the provider ends with this token, made from the nonce."""
    async with millrace.client("", scheme="https", address=f"192.0.2.{place}") as client:
        asked = await begun(client)
        provider.given = {"token_type": "Bearer", "id_token": token(asked["nonce"]), **more}
        return await client.get(f"{OIDC}/callback", params={"state": asked["state"], "code": "c"})


async def users(millrace: Installation) -> int:
    async with millrace.client() as admin:
        return len((await admin.get("/api/v1/users")).json()["items"])


def by_hand(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token as no library would make it."""
    head = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    return f"{head.decode()}.{base64.urlsafe_b64encode(sign(head)).decode().rstrip('=')}"


async def test_a_good_token_of_each_algorithm_lets_in(millrace: Installation, provider: FalseProvider) -> None:
    rsa = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
    signers: list[tuple[str, Any]] = [(alg, rsa) for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")]
    for alg, curve in (("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521")):
        signers.append((alg, ECKey.generate_key(curve, auto_kid=True)))
    signers.append(("Ed25519", OKPKey.generate_key("Ed25519", auto_kid=True)))
    provider.keys = [key.as_dict(private=False) for _, key in signers[5:]]
    for place, (alg, key) in enumerate(signers):
        header = {"alg": alg, "kid": key.kid}
        token = _signer(provider, header, key)
        assert (await answered(millrace, provider, token, place)).status_code == 303, alg
    assert provider.asked["/keys"] == 1
    assert await users(millrace) == 2


def _signer(provider: FalseProvider, header: Mapping[str, Any], key: Any) -> Callable[[str], str]:
    return lambda nonce: provider.signed(provider.claims(nonce), header, key)


def lies(provider: FalseProvider) -> dict[str, Callable[[str], str]]:
    """Tokens that are wrong in one way each."""
    now, foreign = int(time.time()), RSAKey.generate_key(2048)
    published = provider.key.as_pem(private=False)

    def claiming(**changed: Any) -> Callable[[str], str]:
        return lambda nonce: provider.signed(provider.claims(nonce, **changed))

    def headed(key: Any = None, **header: Any) -> Callable[[str], str]:
        return lambda nonce: provider.signed(provider.claims(nonce), header, key)

    return {
        "another issuer": claiming(iss="https://evil.example"),
        "no issuer": claiming(iss=...),
        "another audience": claiming(aud="other"),
        "no audience": claiming(aud=...),
        "several audiences and no party": claiming(aud=["millrace", "other"]),
        "another party": claiming(aud=["millrace"], azp="other"),
        "over": claiming(exp=now - 61),
        "no end": claiming(exp=...),
        "an end that is no time": claiming(exp="tomorrow"),
        "an end that is true": claiming(exp=True),
        "from the future": claiming(iat=now + 120),
        "of no time": claiming(iat=...),
        "of a time that is no number": claiming(iat=float("nan")),
        "without end": claiming(exp=float("inf")),
        "of a huge number": claiming(exp=10**400),
        "not yet": claiming(nbf=now + 120),
        "another nonce": claiming(nonce="guessed"),
        "no nonce": claiming(nonce=...),
        "of nobody": claiming(sub=...),
        "of an empty name": claiming(sub=""),
        "of a number": claiming(sub=7),
        "of a name too long": claiming(sub="x" * 256),
        "of a name with NUL": claiming(sub="a\0b"),
        "another access token": claiming(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
        "an access token of no kind": claiming(at_hash=7),
        "a foreign key": headed(foreign),
        "a foreign key without a name": headed(foreign, kid=...),
        "an unknown key": headed(kid="unknown"),
        "the public key as a secret": lambda nonce: by_hand(
            {"alg": "HS256", "kid": provider.key.kid},
            provider.claims(nonce),
            lambda head: hmac.digest(published, head, "sha256"),
        ),
        "an extension that must be understood": lambda nonce: by_hand(
            {"alg": "RS256", "kid": provider.key.kid, "crit": ["x"], "x": 1},
            provider.claims(nonce),
            lambda head: provider.key.private_key.sign(head, PKCS1v15(), SHA256()),
        ),
        "no signature": lambda nonce: by_hand({"alg": "none"}, provider.claims(nonce), lambda _: b""),
        "a spoilt signature": lambda nonce: _spoilt(provider.signed(provider.claims(nonce))),
        "nothing": lambda nonce: "",
        "two parts": lambda nonce: "a.b",
        "noise": lambda nonce: "....",
        "too long": lambda nonce: "x" * 70_000,
    }


def _spoilt(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{'A' * len(signature)}"


async def test_no_lie_lets_anybody_in(millrace: Installation, provider: FalseProvider) -> None:
    for place, (name, token) in enumerate(lies(provider).items()):
        response = await answered(millrace, provider, token, place, access_token="access")
        assert response.status_code == 401, (name, response.text)
        problem(response, 401, "login_refused")
    assert await users(millrace) == 1

    def unheard_of(nonce: str) -> str:
        """What nobody must understand does no harm."""
        header = {"alg": "RS256", "kid": provider.key.kid, "x": 1}
        sign = provider.key.private_key.sign
        return by_hand(header, provider.claims(nonce), lambda head: sign(head, PKCS1v15(), SHA256()))

    assert (await answered(millrace, provider, unheard_of, 99)).status_code == 303
    assert await users(millrace) == 2


async def test_clocks_may_differ_by_a_minute(millrace: Installation, provider: FalseProvider) -> None:
    now = int(time.time())
    for place, changed in enumerate(({"exp": now - 50}, {"iat": now + 50}, {"exp": now + 99.5, "iat": now - 0.5})):

        def token(nonce: str, changed: dict[str, float] = changed) -> str:
            return provider.signed(provider.claims(nonce, **changed))

        assert (await answered(millrace, provider, token, place)).status_code == 303, changed


async def test_only_fitting_keys_are_taken(millrace: Installation, provider: FalseProvider, clock: FakeClock) -> None:
    """A key for encryption, one of another algorithm, a shared secret that was published, a short one."""
    key = provider.key
    public = key.as_dict(private=False)
    secret = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": key.kid}
    short = {"kty": "RSA", "kid": key.kid, "n": "w" * 171, "e": "AQAB"}
    nonsense = [None, 7, {"kty": "RSA"}, {"kty": "RSA", "n": 7, "e": [], "kid": key.kid}]
    of_other_kinds = [
        {**public, "use": "enc"},
        {**public, "alg": "RS512"},
        secret,
        short,
        {"kty": "EC", "crv": "P-256"},
    ]
    for place, keys in enumerate([one] for one in [*of_other_kinds, *nonsense]):
        provider.keys = keys
        clock.advance(2 * UNITS["h"])
        header = {"kid": key.kid}
        token = _late_signer(provider, header, clock)
        problem(await answered(millrace, provider, token, place), 401, "login_refused")
    provider.keys = [{**public, "kid": "a"}, {**public, "kid": "b"}]
    clock.advance(2 * UNITS["h"])
    problem(await answered(millrace, provider, _late_signer(provider, {"kid": ...}, clock), 50), 401, "login_refused")


def _late_signer(provider: FalseProvider, header: Mapping[str, Any], clock: FakeClock) -> Callable[[str], str]:
    now = clock.now() // 1_000_000
    return lambda nonce: provider.signed(provider.claims(nonce, iat=now, exp=now + 300), header)


async def test_an_unknown_key_is_searched_once_a_minute(
    millrace: Installation, provider: FalseProvider, clock: FakeClock
) -> None:
    for place in range(3):
        token = _late_signer(provider, {"kid": "unknown"}, clock)
        problem(await answered(millrace, provider, token, place), 401, "login_refused")
    assert provider.asked["/keys"] == 2
    clock.advance(UNITS["m"])
    await answered(millrace, provider, _late_signer(provider, {"kid": "unknown"}, clock), 9)
    assert provider.asked["/keys"] == 3
    assert provider.asked["/.well-known/openid-configuration"] == 1


async def test_a_state_is_used_once_also_where_the_provider_takes_its_code_again(
    millrace: Installation, provider: FalseProvider
) -> None:
    async with millrace.client("", scheme="https") as client:
        asked = await begun(client)
        kept = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        provider.given = {"id_token": provider.signed(provider.claims(asked["nonce"]))}
        params = {"state": asked["state"], "code": "c"}
        assert (await client.get(f"{OIDC}/callback", params=params)).status_code == 303
        problem(await client.get(f"{OIDC}/callback", params=params, headers=kept), 422, "login_mixed_up")


async def test_what_is_asked_is_what_the_standard_says(millrace: Installation, provider: FalseProvider) -> None:
    assert (await answered(millrace, provider, _signer(provider, {}, provider.key))).status_code == 303
    (form,) = provider.forms
    assert (form["grant_type"], form["code"], form["client_id"]) == ("authorization_code", "c", "millrace")
    assert form["redirect_uri"] == f"{PUBLIC}{OIDC}/callback"
    assert (len(form["code_verifier"]), form["authorization"]) == (43, "")
    assert "client_secret" not in form


@pytest.mark.parametrize(("methods", "where"), [(None, "authorization"), (["client_secret_post"], "client_secret")])
async def test_a_secret_goes_where_the_provider_takes_it(
    tmp_path: Path, database_url: str | None, provider: FalseProvider, methods: list[str] | None, where: str
) -> None:
    provider.document["token_endpoint_auth_methods_supported"] = methods
    settings = provider.settings(PUBLIC, MILLRACE_OIDC_CLIENT_SECRET="a secret")
    async with installation(tmp_path / "home", database_url, login_settings=settings) as millrace:
        assert (await answered(millrace, provider, _signer(provider, {}, provider.key))).status_code == 303
    assert provider.forms[0][where] in ("Basic bWlsbHJhY2U6YStzZWNyZXQ=", "a secret")


async def test_what_is_told_of_another_user_is_refused(millrace: Installation, provider: FalseProvider) -> None:
    provider.document["userinfo_endpoint"] = f"{provider.issuer}/userinfo"
    token = _signer(provider, {}, provider.key)
    provider.told = {"sub": "somebody else", "email": "root@example.com", "email_verified": True}
    problem(await answered(millrace, provider, token, access_token="a"), 401, "login_refused")
    provider.told = {"sub": "ada", "email": "ada@example.com", "email_verified": True, "iss": "https://evil.example"}
    assert (await answered(millrace, provider, token, 2, access_token="a")).status_code == 303
    async with millrace.client() as admin:
        assert (await admin.get("/api/v1/users/ada@example.com")).status_code == 200


@pytest.mark.parametrize(
    ("in_token", "told", "email"),
    [
        ({"email": ADMIN}, {"email": HIS, "email_verified": True}, None),
        ({"email_verified": True}, {"email": ADMIN}, None),
        ({"email_verified": True}, {"email": ADMIN, "email_verified": False}, None),
        ({"email": ADMIN, "email_verified": False}, {"email": ADMIN, "email_verified": True}, None),
        ({"email": HIS}, {"email": HIS, "email_verified": True}, HIS),
        ({}, {"email": HIS, "email_verified": True}, HIS),
    ],
)
async def test_that_an_address_is_verified_is_believed_of_the_one_it_was_said_of(
    tmp_path: Path,
    database_url: str | None,
    provider: FalseProvider,
    in_token: dict[str, Any],
    told: dict[str, Any],
    email: str | None,
) -> None:
    """What the token and the answer about its user say is never put together to what neither of them says."""
    provider.document["userinfo_endpoint"] = f"{provider.issuer}/userinfo"
    provider.told = {"sub": "ada", "groups": ["watchers"], **told}
    settings = provider.settings(PUBLIC, MILLRACE_OIDC_ROLES="watchers=viewer")
    async with installation(tmp_path / "home", database_url, login_settings=settings) as millrace:
        await set_up(millrace, ADMIN)
        response = await answered(
            millrace, provider, lambda nonce: provider.signed(provider.claims(nonce, **in_token)), access_token="a"
        )
        async with millrace.client() as admin:
            assert (await admin.get("/api/v1/auth/me")).json()["role"] == "admin", "nobody has become this user"
            found = (await admin.get("/api/v1/users", params={"role": "viewer"})).json()["items"]
    assert [user["email"] for user in found] == ([] if email is None else [email])
    assert response.status_code == (403 if email is None else 303)


async def test_who_is_restricted_is_made_no_administrator_by_a_group(
    tmp_path: Path, database_url: str | None, provider: FalseProvider, caplog: pytest.LogCaptureFixture
) -> None:
    settings = provider.settings(PUBLIC, MILLRACE_OIDC_ROLES="bosses=admin,watchers=viewer")

    def member(group: str) -> Callable[[str], str]:
        given = {"email": HIS, "email_verified": True, "groups": [group]}
        return lambda nonce: provider.signed(provider.claims(nonce, **given))

    async with (
        installation(tmp_path / "home", database_url, login_settings=settings) as millrace,
        millrace.client() as admin,
    ):
        place = f"/api/v1/users/{HIS}"
        assert (await answered(millrace, provider, member("watchers"))).status_code == 303
        assert (await admin.patch(place, json={"access": "granted"})).status_code == 200
        assert (await answered(millrace, provider, member("bosses"), 2)).status_code == 303
        shown = (await admin.get(place)).json()
        assert (shown["role"], shown["access"]) == ("viewer", "granted")
        assert "restricted to what was granted" in caplog.text
        assert (await admin.patch(place, json={"access": "all"})).status_code == 200
        assert (await answered(millrace, provider, member("bosses"), 3)).status_code == 303
        assert (await admin.get(place)).json()["role"] == "admin"


async def test_who_is_logged_out_everywhere_has_no_login_under_way_either(
    millrace: Installation, provider: FalseProvider
) -> None:
    async with millrace.client("", scheme="https") as client, millrace.client() as admin:

        async def code() -> str:
            query = {"challenge": challenge_of(VERIFIER), "port": "4711"}
            begun_at = (await client.get(f"{OIDC}/login", params=query)).headers["Location"]
            asked = {name: values[0] for name, values in parse_qs(urlsplit(begun_at).query).items()}
            given = {"email": HIS, "email_verified": True}
            provider.given = {"id_token": provider.signed(provider.claims(asked["nonce"], **given))}
            back = await client.get(f"{OIDC}/callback", params={"state": asked["state"], "code": "c"})
            return parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]

        async def exchanged(text: str) -> httpx2.Response:
            return await client.post(f"{OIDC}/token", json={"code": text, "verifier": VERIFIER})

        assert (await exchanged(await code())).status_code == 200
        stolen = await code()
        assert (await admin.post(f"/api/v1/users/{HIS}/logout")).json() == {"ended": 1}
        problem(await exchanged(stolen), 401, "invalid_code")


async def test_a_document_that_cannot_be_used_is_no_provider(
    millrace: Installation, provider: FalseProvider, clock: FakeClock
) -> None:
    good = dict(provider.document)
    changes: list[dict[str, Any]] = [
        {"issuer": f"{provider.issuer}/"}, {"issuer": None}, {"token_endpoint": None}, {"jwks_uri": "ftp://a"},
        {"token_endpoint": "http://evil.example/token"}, {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://a\r\nb"}, {"token_endpoint": "https://[::1"},
    ]  # fmt: skip
    async with millrace.client("", scheme="https") as client:
        for changed in changes:
            provider.document = {**good, **changed}
            problem(await client.get(f"{OIDC}/login"), 503, "oidc_unavailable")
            clock.advance(5 * UNITS["s"])
        asked = provider.asked["/.well-known/openid-configuration"]
        assert asked == len(changes)
        provider.document, provider.status = good, 500
        for _ in range(3):
            problem(await client.get(f"{OIDC}/login"), 503, "oidc_unavailable")
        assert provider.asked["/.well-known/openid-configuration"] == asked + 1


async def test_a_provider_cannot_have_us_ask_in_private_networks(
    millrace: Installation, provider: FalseProvider
) -> None:
    """Only the host of the issuer may be private; here the keys are said to be where clouds keep credentials."""
    provider.document["jwks_uri"] = "https://169.254.169.254/latest/meta-data"
    token = _signer(provider, {}, provider.key)
    problem(await answered(millrace, provider, token), 503, "oidc_unavailable")


async def test_an_answer_without_end_or_sense_is_no_login(millrace: Installation, provider: FalseProvider) -> None:
    async with millrace.client("", scheme="https") as client:
        for given in (b"x" * 300_000, b"[]", b"\xff", {}, {"id_token": 7}):
            asked = await begun(client)
            provider.given = given  # type: ignore[assignment]
            response = await client.get(f"{OIDC}/callback", params={"state": asked["state"], "code": "c"})
            assert response.status_code == (401 if isinstance(given, dict) else 503), response.text


async def test_names_that_nobody_can_have_do_no_harm(millrace: Installation, provider: FalseProvider) -> None:
    strange = ["\ud800", "a\0b", "", " ", "x" * 5_000, 7, None, {"a": 1}, "<script>"]
    for place, text in enumerate(strange):
        claims = {"sub": f"s{place}", "name": text, "email": text, "email_verified": True, "groups": [text, [text]]}

        def token(nonce: str, claims: dict[str, Any] = claims) -> str:
            return provider.signed(provider.claims(nonce, **claims))

        assert (await answered(millrace, provider, token, place)).status_code == 303, text
    assert await users(millrace) == 1 + len(strange)


# --- whatever is sent -------------------------------------------------------------------------------------------------

WORDS = st.text(max_size=60) | st.sampled_from(
    ["state", "code", "iss", "error", "access_denied", "\ud7ff", "%00", "a.b.c"]
)


@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis.given(
    query=st.dictionaries(st.sampled_from(["state", "code", "iss", "error", "x"]), WORDS, max_size=5),
    cookie=st.none() | st.binary(max_size=80) | st.integers(0, 400),
    place=st.integers(0, 2**32 - 1),
)
async def test_whatever_comes_back_is_answered_and_lets_nobody_in(
    millrace: Installation, query: dict[str, str], cookie: bytes | int | None, place: int
) -> None:
    """`cookie`: none, any, or a good one with a character changed at this place."""
    address = f"{place >> 24}.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}"
    async with millrace.client("", scheme="https", address=address) as client:
        if isinstance(cookie, int):
            asked = await begun(client)
            kept = client.cookies[COOKIE]
            cookie = (kept[:cookie] + "A" + kept[cookie + 1 :]).encode()
            query = {"state": asked["state"], **query}
            client.cookies.clear()
        sent = b"; ".join(
            [] if cookie is None else [COOKIE.encode() + b"=" + bytes(byte for byte in cookie if byte > 31)]
        )
        response = await client.get(f"{OIDC}/callback", params=query, headers=[(b"Cookie", sent)])
        assert 400 <= response.status_code < 500 or response.json()["code"] == "oidc_unavailable", response.text
        assert "millrace_session" not in str(response.headers)
