"""S4: signatures of webhooks, by the vectors that providers publish, and everything that must not pass for one."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from millrace.core.values import SECOND
from millrace.triggers.webhook.authentication import HmacAuthentication
from millrace.triggers.webhook.signatures import NotSigned, verify

NOW = 1_531_420_700
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_HEADERS = {
    "x-slack-request-timestamp": "1531420618",
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_HEADERS = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}


def signed_by(**config: Any) -> HmacAuthentication:
    return HmacAuthentication.model_validate({"type": "hmac", "secret": "{{ secrets.hook }}", **config})


def check(config: HmacAuthentication, secret: str, headers: dict[str, str], body: bytes, now: int = NOW) -> str:
    tolerance = config.tolerance_seconds
    return verify(config.scheme, secret, headers, body, now=now * SECOND, tolerance=tolerance)


def hexdigest(secret: str, text: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), text, algorithm).hexdigest()


def test_the_example_of_github() -> None:
    assert check(signed_by(preset="github"), GITHUB_SECRET, GITHUB_HEADERS, GITHUB_BODY)


def test_the_example_of_slack() -> None:
    assert check(signed_by(preset="slack"), SLACK_SECRET, SLACK_HEADERS, SLACK_BODY)


def test_stripe_with_several_signatures() -> None:
    body = b'{"id": "evt_1"}'
    right = hexdigest("whsec_1", b"%d." % NOW + body)
    for given in (f"v1={right}", f"v1={'0' * 64},v1={right}", f"v0=abc,v1={right}", f" v1={right} , v0=x"):
        assert check(signed_by(preset="stripe"), "whsec_1", {"stripe-signature": f"t={NOW},{given}"}, body)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("prefix", ["", "sig="])
@pytest.mark.parametrize("dated", [False, True])
def test_generic_signatures(algorithm: str, encoding: str, prefix: str, dated: bool) -> None:
    config = signed_by(
        header="X-My-Sig", algorithm=algorithm, encoding=encoding, prefix=prefix,
        **({"timestamp_header": "X-My-Time"} if dated else {}),
    )  # fmt: skip
    text = b"%d.body" % NOW if dated else b"body"
    digest = hmac.new(b"secret", text, algorithm).digest()
    written = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    headers = {"x-my-sig": prefix + written, "x-my-time": str(NOW)}
    assert check(config, "secret", headers, b"body")
    with pytest.raises(NotSigned, match="not that of this body"):
        check(config, "secret", headers, b"bodY")
    with pytest.raises(NotSigned, match="not that of this body"):
        check(config, "secret2", headers, b"body")


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "no header": ("github", {}, "no header X-Hub-Signature-256"),
    "another algorithm": ("github", {"x-hub-signature-256": "sha1=" + "0" * 40}, "does not begin with sha256="),
    "no hex": ("github", {"x-hub-signature-256": "sha256=zz"}, "not that of this body"),
    "nothing": ("github", {"x-hub-signature-256": "sha256="}, "not that of this body"),
    "two headers": (
        "github",
        {"x-hub-signature-256": ", ".join([GITHUB_HEADERS["x-hub-signature-256"]] * 2)},
        "not that of this body",
    ),
    "no parts": ("stripe", {"stripe-signature": "abc"}, "t=TIME,v1=SIGNATURE"),
    "no time": ("stripe", {"stripe-signature": "v1=00"}, "t=TIME,v1=SIGNATURE"),
    "two times": ("stripe", {"stripe-signature": f"t={NOW},t=1,v1=00"}, "t=TIME,v1=SIGNATURE"),
    "old signatures only": ("stripe", {"stripe-signature": f"t={NOW},v0=00"}, "t=TIME,v1=SIGNATURE"),
    "a time in words": ("stripe", {"stripe-signature": "t=now,v1=00"}, "seconds since 1970"),
    "a negative time": ("slack", {**SLACK_HEADERS, "x-slack-request-timestamp": "-1"}, "seconds since 1970"),
    "a time in other digits": ("slack", {**SLACK_HEADERS, "x-slack-request-timestamp": "١٢"}, "seconds since 1970"),
    "no time in slack": ("slack", {"x-slack-signature": "v0=00"}, "no header X-Slack-Request-Timestamp"),
    "another time": ("slack", {**SLACK_HEADERS, "x-slack-request-timestamp": "1531420619"}, "not that of this body"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_signature(case: str) -> None:
    preset, headers, says = WRONG[case]
    with pytest.raises(NotSigned, match=says):
        check(signed_by(preset=preset), SLACK_SECRET, headers, SLACK_BODY)


@pytest.mark.parametrize("off", [-301, 301, -86_400, 10**9])
def test_a_time_outside_the_window_is_refused_in_both_directions(off: int) -> None:
    body = b"{}"
    time = NOW + off
    headers = {"stripe-signature": f"t={time},v1={hexdigest('s', b'%d.{}' % time)}"}
    with pytest.raises(NotSigned, match="more than 300 s from now"):
        check(signed_by(preset="stripe"), "s", headers, body)


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_a_time_within_the_window(off: int) -> None:
    time = NOW + off
    headers = {"stripe-signature": f"t={time},v1={hexdigest('s', b'%d.{}' % time)}"}
    assert check(signed_by(preset="stripe"), "s", headers, b"{}")
    if off:
        with pytest.raises(NotSigned, match="more than 60 s from now"):
            check(signed_by(preset="stripe", tolerance="1m"), "s", headers, b"{}")


def test_a_request_is_the_same_however_its_signature_is_written() -> None:
    """Otherwise whoever has seen it could send it once more, in other letters."""
    digest = hashlib.sha256
    first = check(signed_by(preset="github"), GITHUB_SECRET, GITHUB_HEADERS, GITHUB_BODY)
    upper = {"x-hub-signature-256": "sha256=" + GITHUB_HEADERS["x-hub-signature-256"][7:].upper()}
    assert check(signed_by(preset="github"), GITHUB_SECRET, upper, GITHUB_BODY) == first
    assert len(first) == 2 * digest().digest_size
    right = hexdigest("s", b"%d.{}" % NOW)
    replays = {
        check(signed_by(preset="stripe"), "s", {"stripe-signature": text}, b"{}")
        for text in (f"t={NOW},v1={right}", f"v1={right}, t={NOW}", f"t={NOW},v1={right},v1={'1' * 64}")
    }
    assert len(replays) == 1
