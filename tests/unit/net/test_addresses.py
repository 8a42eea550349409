"""The address policy: no notation, wrapping or name leads a task to an address that no setting allows."""

import asyncio
import ipaddress
import socket

import pytest

from millrace.net.addresses import SETTING, AddressPolicy, destinations, is_public, normal_name
from millrace.ports.network import AddressRefused

HOSTILE = [
    # 127.0.0.1 as the C library reads it
    *("127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0177.0.0.01", "127.0.0.1."),
    # this machine by name
    *("localhost", "LOCALHOST.", " localhost "),
    # as other characters say it
    *("127。0。0。1", "127\uff0e0\uff0e0\uff0e1", "\uff11\uff12\uff17.0.0.1", "①②⑦.0.0.1", "\u00ad127.0.0.1"),
    # IPv4 inside of IPv6: mapped, translated, NAT64, NAT64 of a site, 6to4, compatible, Teredo (server and client)
    *("[::ffff:127.0.0.1]", "::ffff:7f00:1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
    *("64:ff9b:1:7f00:0:100:808:808", "64:ff9b:1::808:808", "2002:7f00:1::", "::127.0.0.1"),
    *("2001:0:7f00:1::f7f7:f7f7", "2001:0:808:808::80ff:fffe"),
    # not public
    *("0.0.0.0", "0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8"),  # noqa: S104
    *("192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "240.0.0.1"),
    "255.255.255.255",
    *("[::1]", "::", "fe80::1%eth0", "fe80::1%1", "fec0::1", "fd00::1", "ff02::1", "100::1", "2001:db8::1"),
    *("3fff::1", "5f00::1", "fd00:ec2::254", "4000::1"),
]

PUBLIC = ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1", "2002:101:101::1", "16843009"]


@pytest.mark.parametrize("host", HOSTILE)
async def test_an_address_that_is_not_public_is_refused_in_every_notation(host: str) -> None:
    # An address with an interface in it that this machine does not have leads nowhere before it is judged.
    expected = (AddressRefused, socket.gaierror) if "%" in host else AddressRefused
    with pytest.raises(expected):
        await AddressPolicy().resolve(host, 80)


@pytest.mark.parametrize("host", PUBLIC)
async def test_public_addresses_are_allowed(host: str) -> None:
    assert len(await AddressPolicy().resolve(host, 443)) == 1


async def test_the_refusal_names_host_address_and_setting() -> None:
    with pytest.raises(AddressRefused) as caught:
        await AddressPolicy().resolve("LocalHost.", 80)
    message = str(caught.value)
    assert "LocalHost." in message
    assert "127.0.0.1" in message or "::1" in message
    assert f"add localhost or its network to {SETTING}" in message


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        ("2130706433", "127.0.0.1"),
        ("::ffff:7f00:1", "127.0.0.1"),
        ("64:ff9b::a00:1", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
    ],
)
async def test_what_the_refusal_advises_allows_the_host(host: str, entry: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        await AddressPolicy().resolve(host, 80)
    assert f"add {entry} or" in str(caught.value)
    assert await AddressPolicy([entry]).resolve(host, 80)


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("127.0.0.1", "127.1"),
        ("127.0.0.0/8", "127.9.9.9"),
        (" 10.0.0.0/8 ", "10.1.2.3"),
        ("::1", "[::1]"),
        ("[::1]", "::1"),
        ("fd00::/8", "fd12::3"),
        ("localhost", "LOCALHOST."),
        ("LocalHost.", "localhost"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
async def test_what_the_setting_allows_is_allowed(entry: str, host: str) -> None:
    assert await AddressPolicy([entry]).resolve(host, 80)


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("127.0.0.2", "127.0.0.1"),
        ("10.0.0.0/8", "192.168.0.1"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0/0", "::1"),
        ("64:ff9b:1::/48", "64:ff9b:1::a00:1"),
        ("2002::/16", "2002:7f00:1::"),
    ],
)
async def test_an_entry_allows_nothing_beside_what_it_says(entry: str, host: str) -> None:
    with pytest.raises(AddressRefused):
        await AddressPolicy([entry]).resolve(host, 80)


@pytest.mark.parametrize(
    "entry",
    [
        *("", " ", "*", "*.internal", "10.0.0.0/99", "10.0.0.1/8", "http://a.example", "a.example:80", "a.example/x"),
        *("256.1.1.1", "127.1", "2130706433", "0x7f.1", "-a.example", "a..b", "a b", "x" * 64, "[::1]:80"),
    ],
)
def test_an_entry_that_says_nothing_is_refused_when_the_policy_is_made(entry: str) -> None:
    with pytest.raises(ValueError, match=SETTING):
        AddressPolicy([entry])


def test_an_address_with_a_prefix_is_answered_with_its_network() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8, or"):
        AddressPolicy(["10.0.0.1/8"])


class Resolver:
    """What the name service of the world outside answers."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[object] = []

    async def __call__(self, host: object, port: int, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


async def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", Resolver("1.1.1.1", "10.0.0.1", "8.8.8.8"))
    with pytest.raises(AddressRefused, match=r"rebind\.example \(10\.0\.0\.1\)"):
        await AddressPolicy().resolve("rebind.example", 80)
    assert await AddressPolicy(["10.0.0.0/8"]).resolve("rebind.example", 80) == ("1.1.1.1", "10.0.0.1", "8.8.8.8")
    assert await AddressPolicy(["rebind.example"]).resolve("Rebind.Example.", 80)


async def test_a_name_is_resolved_once_and_each_address_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver("1.1.1.1", "1.1.1.1", "8.8.8.8")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
    assert await AddressPolicy().resolve("twice.example", 443) == ("1.1.1.1", "8.8.8.8")
    assert resolver.asked == ["twice.example"]


@pytest.mark.parametrize(
    "host", ["nowhere.invalid", "", "a..b", "x" * 64 + ".example", "\ud800", "127.0.0.1\0.a.example", "a b", "a\r\nb"]
)
async def test_a_host_without_an_address_is_an_os_error(host: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011  its many kinds are the system's
        await AddressPolicy().resolve(host, 80)


@pytest.mark.parametrize(
    ("written", "name"),
    [("Example.COM.", "example.com"), ("[::1]", "::1"), ("bücher.example", "xn--bcher-kva.example"), ("１.１", "1.1")],  # noqa: RUF001
)
def test_a_name_has_one_form(written: str, name: str) -> None:
    assert normal_name(written) == name


def test_every_wrapped_address_is_judged_by_what_it_wraps() -> None:
    wrapped = ipaddress.ip_address("2001:0:808:808::80ff:fffe")
    assert [str(one) for one in destinations(wrapped)] == ["8.8.8.8", "127.0.0.1"]
    assert not is_public(ipaddress.ip_address("fec0::1"))
