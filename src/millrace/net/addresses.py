"""The address policy: tasks reach the public internet, and of private networks only what a setting allows.

A name is resolved once, every address it has is checked, and the connection is made to what was checked. So a name
that points elsewhere a moment later gains nothing, and neither does an address in an unusual notation or one that is
wrapped into another kind: what is checked is where packets would go.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeAlias

from millrace.ports.network import AddressRefused

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SETTING = "MILLRACE_HTTP_ALLOWED_TARGETS"

TRANSLATIONS = tuple(
    ipaddress.IPv6Network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")
)
"""An IPv4 address in the last 32 bits: NAT64 (RFC 6052, 8215), translated (2765), compatible (4291)."""

LOCAL_TRANSLATION = ipaddress.IPv6Network("64:ff9b:1::/48")
"""A site's own NAT64 (RFC 8215): where in it the IPv4 address stands is the site's choice, so that never suffices."""

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")

NOT_PUBLIC: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("3fff::/20"),
)
"""Networks for special purposes that `ipaddress` takes for public in some versions of Python."""

_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes the whole an IPv4 address in an unusual notation, never a name (WHATWG URL, 3.5)."""


class AddressPolicy:
    """Meets `ports.network.Addresses`."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """`allowed`: networks, addresses and host names. Raises `ValueError` for an entry that is none of these."""
        self._networks: list[Network] = []
        self._names: set[str] = set()
        for entry in allowed:
            self._allow(entry)

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        name = normal_name(host)
        found = await _addresses_of(name, port)
        if not found:
            raise OSError(f"{host} has no address")
        if name not in self._names:
            for address in found:
                for end in self._refused(address):
                    raise AddressRefused(_refusal(host, name, address, end))
        return tuple(str(address) for address in found)

    def allows(self, address: Address) -> bool:
        """Whether packets to `address` may be sent, wherever it is translated to on the way."""
        return next(self._refused(address), None) is None

    def _refused(self, address: Address) -> Iterator[Address]:
        return (one for one in destinations(address) if not (self._is_allowed(one) or is_public(one)))

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)

    def _allow(self, entry: str) -> None:
        text = entry.strip()
        with suppress(ValueError):
            self._networks.append(ipaddress.ip_network(text.strip("[]")))
            return
        name = normal_name(text)
        if not _is_host_name(name):
            raise ValueError(
                f"{SETTING}: {entry!r} is no network, address or host name; "
                f"write {_meant(text)}10.0.0.0/8, 127.0.0.1, fd00::/8 or db.internal, separated by commas"
            )
        self._names.add(name)


def _is_host_name(name: str) -> bool:
    return _HOST_NAME.fullmatch(name) is not None and _NUMBER.fullmatch(name.rpartition(".")[2]) is None


def _meant(text: str) -> str:
    """The network that an address with a prefix lies in, which is what was probably meant."""
    try:
        return f"{ipaddress.ip_network(text, strict=False)}, or such as "
    except ValueError:
        return ""


def _refusal(host: str, name: str, address: Address, end: Address) -> str:
    entry = name if _is_host_name(name) else str(end)
    shown = str(address) if end == address else f"{address}, which leads to {end}"
    return f"{host} ({shown}) is not a public address; to let tasks reach it, add {entry} or its network to {SETTING}"


def normal_name(host: str) -> str:
    """A host as it is compared: lower case, without brackets and final dot, international names in ASCII."""
    name = host.strip().strip("[]").rstrip(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def is_public(address: Address) -> bool:
    if address.version == 6 and address not in GLOBAL_UNICAST:
        return False
    if any(address.version == network.version and address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def destinations(address: Address) -> Iterator[Address]:
    """Where packets to an address may end up: itself, or every IPv4 address that is wrapped in it, or both."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    wrapped = tuple(_wrapped(address))
    yield from wrapped
    if not wrapped or address in LOCAL_TRANSLATION:
        yield address


def _wrapped(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif any(address in network for network in TRANSLATIONS) and int(address) > 1:
        yield last
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo


async def _addresses_of(name: str, port: int) -> list[Address]:
    """Every address of a name, or the one that the text is, in whatever notation the system understands."""
    if any(character <= " " for character in name):
        raise OSError(f"{name[:100]!r} is no host name: it holds a blank or a control character")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except ValueError as error:
        raise OSError(f"{name[:100]!r} is no host name: {error}") from None
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]
