"""Hosts that a secret may be sent to: how they are written, and the one rule by which a host is one of them.

A host is compared as it is written in an address, after the spellings of one and the same host are made equal: case,
one final dot, brackets and shortened forms of IPv6, international names. What cannot be made equal for sure is another
host: who is refused too much is told so, who is refused too little never learns of it.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from millrace.ports.network import AddressRefused

WILDCARD: Final = "*."
HIGHEST_PORT: Final = 65_535
LONGEST: Final = 253
REMEDY: Final = "write such as api.example.com, *.example.com, 10.0.0.7:8443 or [2001:db8::7]:8443"

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


class HostRefused(AddressRefused):
    """A secret would leave for a host that it is not for; the message names the secret and its hosts."""


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One entry of the hosts that a secret is for; `str` writes it as it is kept."""

    host: str
    port: int | None = None
    """`None`: any."""
    below: bool = False
    """Whether all names below `host` are meant, and not `host` itself."""

    @classmethod
    def parse(cls, text: str) -> "HostPattern":
        """Raises `ValueError` for what is no host: an address with a path, a login, a `*` anywhere but in front."""
        below = text.startswith(WILDCARD)
        host, port = _divided(text.removeprefix(WILDCARD) if below else text)
        name = normal_host(host)
        if name is None or (below and not _can_have_names_below(name)):
            raise ValueError(f"{text[:100]!r} is no host")
        return cls(name, port, below)

    def covers(self, host: str | None, port: int) -> bool:
        """`host` is one that `normal_host` has made."""
        if host is None or (self.port is not None and self.port != port):
            return False
        return host.endswith(f".{self.host}") if self.below else host == self.host

    def within(self, other: "HostPattern") -> bool:
        """Whether all that it means is meant by the other one, too."""
        if other.port is not None and other.port != self.port:
            return False
        same = self.host == other.host and self.below == other.below
        return same or (other.below and self.host.endswith(f".{other.host}"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{WILDCARD * self.below}{host}{'' if self.port is None else f':{self.port}'}"


@dataclass(frozen=True, slots=True)
class HostBinding:
    """The hosts that one secret is for."""

    secret: str
    patterns: tuple[HostPattern, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.patterns))


@dataclass(frozen=True, slots=True)
class HostLimit:
    """Where those may connect to who hold the values of some secrets: to what is a host of each of them."""

    bindings: tuple[HostBinding, ...] = ()

    def check(self, host: str, port: int) -> None:
        """Raise `HostRefused` unless a connection to this host may be made."""
        name = normal_host(host) if self.bindings else None
        for binding in self.bindings:
            if not any(pattern.covers(name, port) for pattern in binding.patterns):
                raise HostRefused(
                    f"the secret {binding.secret!r} may be sent to {binding} only, and this would go to "
                    f"{_shown(host)}:{port}; {_remedy(binding)}"
                )

    def refuse(self, where: str) -> None:
        """Raise `HostRefused` if there is any limit at all: the values would go to `where`, which is no host."""
        for binding in self.bindings:
            raise HostRefused(
                f"the secret {binding.secret!r} may be sent to {binding} only, and this would go to {where}; "
                f"{_remedy(binding)}"
            )


ANY_HOST: Final = HostLimit()


def limit_of(bound: Iterable[tuple[str, Iterable[str]]]) -> HostLimit:
    """The limit that secrets and their hosts make. Raises `ValueError` for what `HostPattern.parse` refuses."""
    return HostLimit(tuple(HostBinding(name, tuple(map(HostPattern.parse, hosts))) for name, hosts in bound))


def normal_host(host: str) -> str | None:
    """The one spelling of a host; `None` for what is no host, or has no one spelling."""
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in name:
        return _normal_ipv6(name)
    name = name.removesuffix(".").lower()
    if not name.isascii():
        name = _in_ascii(name)
    return name if len(name) <= LONGEST and _NAME.fullmatch(name) else None


def _normal_ipv6(text: str) -> str | None:
    """An address with a zone is none: which network a zone is depends on the machine."""
    try:
        return None if "%" in text else str(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def _in_ascii(name: str) -> str:
    """An international name as it goes over the wire; empty where releases of the standard do not agree on it."""
    try:
        encoded = name.encode("idna").decode()
        return encoded if encoded.encode().decode("idna") == name else ""
    except UnicodeError:
        return ""


def _divided(text: str) -> tuple[str, int | None]:
    """Host and port of an entry. More than one colon outside of brackets belongs to an IPv6 address."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text, None
    if not _PORT.fullmatch(port) or int(port) > HIGHEST_PORT:
        raise ValueError(f"{text[:100]!r} has no such port")
    return host, int(port)


def _can_have_names_below(name: str) -> bool:
    """Not all of a top-level domain, and no address."""
    return ":" not in name and "." in name and _NUMBER.fullmatch(name.rpartition(".")[2]) is None


def _shown(host: str) -> str:
    return f"[{host[:100]}]" if ":" in host and not host.startswith("[") else host[:100]


def _remedy(binding: HostBinding) -> str:
    return f"set the secret anew with --host for it (millrace secrets set {binding.secret}), or use another"
