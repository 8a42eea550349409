"""What is asked of networks, origins, names of hosts, rates, and the files of TLS.

A fault says what to write, and never what was written.
"""

import re
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationInfo

from millrace.config.types import absolute
from millrace.core.rates import parse_rate

ANY_ORIGIN = "*"
HOST_NAME = re.compile(r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]{1,63}\.?", re.ASCII)


def checked_rate(text: str) -> str:
    parse_rate(text)
    return text


def checked_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        networks = [ip_network(text) for text in texts]
    except ValueError:
        raise ValueError("write addresses and networks, such as 127.0.0.1, 10.0.0.0/8, with commas between") from None
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("a network of all addresses would have everybody say who he is; name the proxies")
    return texts


def checked_origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    if texts == (ANY_ORIGIN,) or all(map(_is_origin, texts)):
        return texts
    raise ValueError("write https://HOST or https://HOST:PORT as browsers do, in small letters and without a path")


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    try:
        default = {"https": 443, "http": 80}.get(parts.scheme) == parts.port
    except ValueError:
        return False
    plain = text == f"{parts.scheme}://{parts.netloc}" and text == text.lower() and text.isascii()
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in text and not default


def checked_hosts(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(HOST_NAME.fullmatch, texts)):
        raise ValueError("write names without ports, such as millrace.example.com or *.example.com, commas between")
    return tuple(text.lower().rstrip(".") for text in texts)


def with_certificate(key: Path | None, info: ValidationInfo) -> Path | None:
    if (key is None) != (info.data.get("tls_cert") is None):
        raise ValueError("MILLRACE_TLS_CERT and MILLRACE_TLS_KEY belong together; set both or none")
    return absolute(key)
