"""Whatever is sent as a signature, a token, a cookie, an expression or a body: nothing but the right one is accepted,
and nothing breaks. `MILLRACE_TEST_EXAMPLES` tries more, as everywhere."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.auth.logins.access_tokens import PURPOSE, AccessTokens, Claims
from millrace.core.values import SECOND
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.ports.evaluator import ExpressionError, Scope
from millrace.system import SystemClock
from millrace.triggers.webhook.authentication import HmacAuthentication
from millrace.triggers.webhook.bodies import Malformed
from millrace.triggers.webhook.multipart import parts_of
from millrace.triggers.webhook.signatures import NotSigned, verify
from tests.model.budget import BUDGET, EXAMPLES
from tests.support.installation import Installation
from tests.support.logins import ADA, PASSWORD, set_up
from tests.support.webhooks import SECRET, generic, github, hooked, slack, stripe

FEW = settings(BUDGET, max_examples=max(20, EXAMPLES // 5))
NOW = 1_700_000_000
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80)
PRESETS: dict[str, Callable[[bytes], dict[str, str]]] = {
    "github": github,
    "stripe": lambda body: stripe(body, at=NOW),
    "slack": lambda body: slack(body, at=NOW),
    "generic": lambda body: generic(body, at=NOW),
}


@st.composite
def altered(draw: st.DrawFn, text: str) -> str:
    """A text with a piece cut out and another put in, which may be a piece of its own."""
    first, last = draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))
    middle = draw(
        st.one_of(TEXT, st.sampled_from([text, text[::-1], text.upper(), text[:8], "0", "=", ",", " ", "v1="]))
    )
    return text[:first] + middle + text[last:]


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_but_the_right_signature_is_accepted(preset: str) -> None:
    options = {"timestamp_header": "X-Time"} if preset == "generic" else {}
    config = HmacAuthentication.model_validate(
        {"type": "hmac", "preset": preset, "secret": "{{ secrets.hook }}", **options}
    )

    @BUDGET
    @given(st.binary(max_size=60), st.binary(max_size=60), st.data())
    def holds(body: bytes, other: bytes, data: st.DataObject) -> None:
        right = {name.lower(): value for name, value in PRESETS[preset](body).items()}
        sent = {name: data.draw(st.one_of(st.just(value), altered(value))) for name, value in right.items()}
        carried = data.draw(st.sampled_from([body, other]))
        try:
            verify(config.scheme, SECRET, sent, carried, now=NOW * SECOND, tolerance=config.tolerance_seconds)
        except NotSigned:
            return
        assert carried == body, "another body has passed"
        for name, value in right.items():
            for part in value.rpartition("=")[2].split(","):
                assert part.lower() in sent[name].lower(), "another signature or time has passed"

    holds()


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def test_no_token_but_our_own_is_accepted(millrace: Installation) -> None:
    """Among them those whose header asks to be believed: `none`, another algorithm, a key that it brings along."""
    await set_up(millrace)
    tokens, now = AccessTokens(millrace.vault, 900 * SECOND), SystemClock().now()
    right = tokens.make("here", Claims("user", "session"), now)
    assert tokens.read("here", right, now) == Claims("user", "session")
    assert tokens.read("elsewhere", right, now) is None
    assert tokens.read("here", right, now + 900 * SECOND) is None
    head, claims, signature = right.split(".")
    key_id, key = millrace.vault.own_key(PURPOSE)
    base = {"alg": "HS256", "typ": "at+jwt", "kid": key_id}
    harmless = [{**base, "jku": "https://evil.example"}, {**base, "x5u": "https://evil.example"}]
    """Nobody but us can sign these, and where they point is not looked at."""
    heads: list[dict[str, Any]] = [
        *({**base, "alg": name} for name in ("none", "None", "NONE", "", "HS384", "HS512", "RS256", "ES256", "PS256",
                                             "EdDSA", "dir", None, 7, ["HS256"], "hs256")),
        *({**base, "kid": kid} for kid in ("", "../../dev/null", "' or 1=1 --", None, 0, f"{key_id}x", [key_id])),
        *({**base, "typ": kind} for kind in ("JWT", "jwt", "", None, "refresh")),
        {**base, "jwk": {"kty": "oct", "k": segment(b"mine")}, "kid": "mine"},
        *harmless, {**base, "crit": ["exp"]}, {**base, "b64": False, "crit": ["b64"]}, {},
    ]  # fmt: skip
    for secret in (key, b"", b"mine", key.hex().encode(), base64.b64encode(key)):
        for one in heads:
            signed = f"{segment(one)}.{claims}"
            for algorithm in (hashlib.sha256, hashlib.sha384, hashlib.sha512):
                made = f"{signed}.{segment(hmac.new(secret, signed.encode(), algorithm).digest())}"
                ours = secret == key and algorithm is hashlib.sha256 and one in harmless
                assert tokens.read("here", made, now) is None or ours, one
            assert tokens.read("here", f"{signed}.", now) is None

    @BUDGET
    @given(st.one_of(TEXT, altered(right), altered(f"{head}.{claims}."), altered(f"{head}..{signature}")))
    def holds(token: str) -> None:
        read = tokens.read("here", token, now)
        assert read is None or token == right

    holds()


async def test_what_was_signed_for_one_purpose_is_nothing_for_another(millrace: Installation) -> None:
    """Links of approvals, logins under way at a provider: each is read as what it was signed for, unaltered."""
    vault, content = millrace.vault, b'{"run": "a"}'
    text = vault.sign("approval link", content)
    assert vault.signed("approval link", text) == content
    for other in ("approval", "approval link ", "access token", "oidc", ""):
        assert vault.signed(other, text) is None

    @BUDGET
    @given(st.one_of(TEXT, altered(text)))
    def holds(given_text: str) -> None:
        assert vault.signed("approval link", given_text) is None or given_text == text

    holds()


async def collected(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """Examples for requests, which are made one after the other by the loop of the test."""
    found: list[Any] = []

    @FEW
    @given(strategy)
    def keep(example: Any) -> None:
        found.append(example)

    await asyncio.to_thread(keep)
    return found


async def test_any_cookies_are_refused_and_nothing_breaks(millrace: Installation) -> None:
    await set_up(millrace)
    async with millrace.client("") as client:
        body = {"email": ADA, "password": PASSWORD}
        good = (await client.post("/api/v1/auth/login", json=body)).cookies["millrace_session"]
    odd = st.one_of(altered(good), TEXT, st.just("x" * 20_000), st.just("mrw_" + "\xff" * 43))
    names = st.sampled_from(
        ["millrace_session", "Millrace_Session", "__Host-millrace_session", "", "$Version", "millrace_oidc"]
    )
    pairs = st.lists(st.tuples(names, odd).map("=".join), min_size=1, max_size=5).map("; ".join)
    fixed = ["=", ";" * 500, "millrace_session", f"millrace_session={good}x; millrace_session=", "a=b; " * 2000]
    async with millrace.client("") as stranger:
        for text in [*await collected(pairs), *fixed]:
            response = await stranger.get("/api/v1/auth/me", headers={b"Cookie": text.encode("latin-1")})
            assert response.status_code == 401 or (good in text and response.status_code == 200), text[:200]


@pytest.mark.parametrize("path", ["/api/v1/auth/reset", "/approvals/{}", "/api/v1/auth/refresh", "/api/v1/auth/token"])
async def test_any_text_for_a_token_in_a_body_or_an_address_is_refused(millrace: Installation, path: str) -> None:
    async with millrace.client("") as stranger:
        for text in await collected(st.one_of(TEXT, altered("mrp_" + "x" * 43), altered("mrr_" + "x" * 43))):
            if path.endswith("{}"):
                escaped = "".join(f"%{byte:02x}" for byte in text.encode()) or "-"
                response = await stranger.get(path.format(escaped))
            elif path.endswith("token"):
                response = await stranger.post(path, data={"grant_type": "refresh_token", "refresh_token": text})
            else:
                response = await stranger.post(path, json={"token": text, "refresh_token": text, "password": PASSWORD})
            assert 400 <= response.status_code < 500, (text, response.text)


WORDS = "input . [ ] ( ) a 0 ' + - && || ? : ! map filter in { } , null __class__ size 1e999"
PIECES = st.sampled_from([*WORDS.split(), '"', "9" * 30, "\\", "\n", "\0", "é"])


@BUDGET
@given(st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=60)))
def test_an_expression_gives_a_value_or_a_fault_of_its_own(source: str) -> None:
    scope = Scope(input={"a": [1, "x", {"a": None}], "size": 3})

    async def outcome() -> str:
        try:
            return json.dumps(await CelEvaluator().evaluate(source, scope, place="here"))
        except ExpressionError:
            return "fault"

    first = asyncio.run(outcome())
    assert asyncio.run(outcome()) == first, "the same expression of the same data is something else"


@BUDGET
@given(st.binary(max_size=300), st.sampled_from(["b", "", "x" * 100, '"b"', "é"]))
def test_a_form_has_parts_or_is_malformed(content: bytes, boundary: str) -> None:
    framed = b"--b\r\nContent-Disposition: form-data; " + content + b"\r\n--b--\r\n"
    for body in (content, framed):
        try:
            for part in parts_of(body, f"multipart/form-data; boundary={boundary}"):
                assert part.content in body
        except Malformed:
            pass


KINDS = [
    *("application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "application/yaml"),
    *("text/csv", "text/xml", "multipart/form-data; boundary=b", "é/x", ""),
    "application/x-www-form-urlencoded; charset=utf-16",
]
NAMES = st.sampled_from(["specversion", "id", "type", "source", "data", "time", "data_base64", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=8,
)
BODIES = st.one_of(st.binary(max_size=200), VALUES.map(lambda value: json.dumps(value).encode()))


@pytest.mark.parametrize("path", ["/api/v1/events", "webhook", "/api/v1/workflows", "/api/v1/auth/token"])
async def test_any_body_of_any_kind_is_answered(millrace: Installation, api: httpx2.AsyncClient, path: str) -> None:
    target = await hooked(api) if path == "webhook" else path
    for body, kind in await collected(st.tuples(BODIES, st.sampled_from(KINDS))):
        response = await api.post(target, content=body, headers={b"Content-Type": kind.encode("latin-1")})
        assert response.status_code < 500, (kind, body, response.text)
        assert "Traceback" not in response.text
