"""Where a request comes from when proxies stand in front: they say so in headers, and only those named are believed.

A chain of addresses is read from its end: each proxy adds whom it has heard from, so what stands before the first
address that is no proxy of ours may be anything. Where a header is malformed, the address of the connection counts.

It is said in `Forwarded` (RFC 7239), or in `X-Forwarded-For` and `X-Forwarded-Proto`. A proxy that writes one form
passes the other on as a client has written it, and nobody can tell which it writes: so where both are there, they must
say the same, or neither is believed.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

Address: TypeAlias = IPv4Address | IPv6Address

MOST_HOPS: Final = 32
SCHEMES: Final = frozenset({"http", "https"})
NAMES: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto")
ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
PAIR: Final = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:([^\s;,"]+)|"((?:[^"\\]|\\.)*)")\s*(?:;|$)')
WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::[0-9A-Za-z._-]+)?|([^:]*)(?::[0-9A-Za-z._-]+)?")


class Proxies:
    """Those that are believed."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = tuple(map(ip_network, networks))
        self.trusts = lru_cache(4096)(self._trusts)

    def _trusts(self, host: str) -> bool:
        address = address_in(host)
        return address is not None and self._has(address)

    def _has(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)

    def client_of(self, chain: Sequence[str], connected: str) -> str:
        """The first from the end that is no proxy, the farthest one if all are; what stands before it is not looked at.

        The connection's own where there is anything else than an address before that.
        """
        found = connected
        for text in reversed(chain[-MOST_HOPS:]):
            address = _node(text.strip())
            if address is None:
                return connected
            found = str(address)
            if not self._has(address):
                break
        return found


class Forwarded:
    """Puts the address and the scheme that a trusted proxy tells in the place of those of the connection."""

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client is not None and self._proxies.trusts(client[0]):
            chains, schemes = _told(scope["headers"])
            found = {self._proxies.client_of(chain, client[0]) for chain in chains}
            if len(found) == 1 and client[0] not in found:
                scope["client"] = (found.pop(), 0)
            if len(schemes) == 1 and schemes <= SCHEMES:
                scope["scheme"] = schemes.pop()
        await self._app(scope, receive, send)


def address_in(text: str) -> Address | None:
    """An address without its zone; one of IPv4 in the form of IPv6 is the one of IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _told(headers: Sequence[tuple[bytes, bytes]]) -> tuple[list[list[str]], set[str]]:
    """The chains of addresses and the schemes that are written, in whatever form."""
    forwarded, addresses, scheme = (_joined(headers, name) for name in NAMES)
    chains, schemes = [], {scheme.rpartition(",")[2].strip().lower()}
    if forwarded:
        nodes, other = _rfc7239(forwarded)
        chains.append(nodes)
        schemes.add(other)
    if addresses:
        chains.append(addresses.split(","))
    return chains, schemes - {""}


def _joined(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in headers if name == wanted)


def _node(text: str) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`."""
    found = WITH_PORT.fullmatch(text)
    return address_in(text if found is None else found[1] or found[2])


def _rfc7239(header: str) -> tuple[list[str], str]:
    """As above; nothing where it is malformed, since nobody knows then where an element begins."""
    nodes: list[str] = []
    scheme = ""
    for element in _elements(header):
        pairs = dict(_pairs(element)) if element else {}
        if not pairs or pairs.get("") is not None:
            return [], ""
        scheme = pairs.get("proto", "").lower()
        if "for" in pairs:
            nodes.append(pairs["for"])
    return nodes, scheme


def _elements(header: str) -> Iterator[str]:
    """What stands between commas that are not in quotes; an empty text for what is none."""
    position = 0
    while position <= len(header):
        found = ELEMENT.match(header, position)
        if found is None or (found.end() < len(header) and header[found.end()] != ","):
            yield ""
            return
        yield found[0]
        position = found.end() + 1


def _pairs(element: str) -> Iterator[tuple[str, str]]:
    """`for=…`, `proto=…` and others; one without a name if there is anything else."""
    position = 0
    while position < len(element):
        found = PAIR.match(element, position)
        if found is None:
            yield "", "malformed"
            return
        plain, quoted = found[2], found[3]
        yield found[1].lower(), plain if plain is not None else re.sub(r"\\(.)", r"\1", quoted)
        position = found.end()
