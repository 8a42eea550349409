"""The hosts that a secret is for: one host however it is spelled, and no trick that makes another look like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.ports.hosts import ANY_HOST, HostLimit, HostPattern, HostRefused, limit_of, normal_host


def allowed(pattern: str, host: str, port: int = 443) -> bool:
    try:
        limit_of([("orders", [pattern])]).check(host, port)
    except HostRefused:
        return False
    return True


SAME = {
    "api.example.com": ["API.Example.COM", "api.example.com.", "api.example.com"],
    "*.example.com": ["a.example.com", "A.B.EXAMPLE.com."],
    "bücher.example": ["xn--bcher-kva.example", "bücher.example", "BÜCHER.example"],
    "xn--bcher-kva.example": ["bücher.example"],
    "[2001:db8::7]": ["2001:db8::7", "[2001:DB8:0:0::7]", "2001:0db8:0000::0007"],
    "2001:db8::7": ["[2001:db8::7]"],
    "10.0.0.7": ["10.0.0.7"],
}
OTHER = {
    "api.example.com": [
        "api.example.com.evil.test", "evil-api.example.com", "xapi.example.com", "example.com", "api.example.com..",
        "api.example.com@evil.test", "evil.test#api.example.com", "api.example.com\\evil.test", "api%2eexample.com",
        "api.example.com:443", "\uff41pi.example.com", "api。example。com", "\u0430pi.example.com", "", ".",
        "api.example.com\0.evil.test", "api.example.com\n", " api.example.com",
    ],
    "*.example.com": ["example.com", "evilexample.com", ".example.com", "evil.test?.example.com", "a_b c.example.com"],
    "strasse.de": ["straße.de"],
    "10.0.0.7": ["010.0.0.7", "0x0a000007", "167772167", "::ffff:10.0.0.7", "10.0.7", "10.0.0.70"],
    "[2001:db8::7]": ["2001:db8::7%eth0", "2001:db8::70", "[2001:db8::7", "2001:db8::7]"],
}  # fmt: skip


@pytest.mark.parametrize(("pattern", "host"), [(pattern, host) for pattern in SAME for host in SAME[pattern]])
def test_spellings_of_one_host_are_one(pattern: str, host: str) -> None:
    assert allowed(pattern, host)


@pytest.mark.parametrize(("pattern", "host"), [(pattern, host) for pattern in OTHER for host in OTHER[pattern]])
def test_what_only_looks_like_it_is_another(pattern: str, host: str) -> None:
    assert not allowed(pattern, host)


def test_a_port_holds_where_it_is_given() -> None:
    assert allowed("10.0.0.7:8443", "10.0.0.7", 8443)
    assert not allowed("10.0.0.7:8443", "10.0.0.7", 443)
    assert allowed("[2001:db8::7]:8443", "2001:db8::7", 8443)
    assert not allowed("*.example.com:8443", "a.example.com", 443)
    assert allowed("api.example.com", "api.example.com", 8080)


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "*.", "*.com", "*.*.com", "a.*.com", "*.10.0.0.7", "https://api.example.com", "api.example.com/x",
        "me@api.example.com", "api.example.com:0", "api.example.com:99999", "api.example.com:https", "api.example.com:",
        "a b.example.com", "straße.de", "-a.example.com", "[::1", "::1%lo", "a,b", "*.[::1]", "a" * 300, "10.0.0.0/8",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no host|no such port"):
        HostPattern.parse(text)


def test_an_entry_is_kept_in_its_one_spelling() -> None:
    for text, kept in {
        "API.Example.com.": "api.example.com", "*.Example.COM:8443": "*.example.com:8443",
        "2001:DB8:0::7": "[2001:db8::7]", "[::1]:80": "[::1]:80", "Bücher.example": "xn--bcher-kva.example",
    }.items():  # fmt: skip
        assert str(HostPattern.parse(text)) == kept
        assert HostPattern.parse(kept) == HostPattern.parse(text)


def test_secrets_together_go_only_where_each_may_go() -> None:
    limit = limit_of([("a", ["api.example.com", "x.example.com"]), ("b", ["*.example.com", "y.test"])])
    limit.check("api.example.com", 443)
    with pytest.raises(HostRefused, match=r"the secret 'b' may be sent to .*example.com, y.test only") as refused:
        limit_of([("a", ["z.test"]), ("b", ["*.example.com", "y.test"])]).check("z.test", 443)
    assert "millrace secrets set b" in str(refused.value)
    with pytest.raises(HostRefused, match=r"'a' .* would go to y.test:443"):
        limit.check("y.test", 443)


def test_without_a_bound_secret_there_is_no_limit() -> None:
    ANY_HOST.check("anything at all", 1)
    ANY_HOST.refuse("a file")
    with pytest.raises(HostRefused, match="would go to a file"):
        limit_of([("a", ["z.test"])]).refuse("a file")
    assert HostLimit() == ANY_HOST


@given(st.text(max_size=40))
def test_no_text_makes_more_of_a_host_than_it_is(text: str) -> None:
    """What is prefixed or appended makes another host, unless it is a spelling of the same."""
    for host in (text + "api.example.com", "api.example.com" + text):
        if allowed("api.example.com", host):
            assert normal_host(host) == "api.example.com"
            assert host.lower().rstrip(".") == "api.example.com"
