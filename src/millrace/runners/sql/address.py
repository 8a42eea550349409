"""Connection strings: what they may say, and nothing else. No driver ever sees the string itself.

Refused here: driver options that read local files, sockets in the file system, several hosts, a host in the query.
No message repeats any part of a connection string, as a fault may lie in its password.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from millrace.runners.sql.dialect import MYSQL, POSTGRES, SQLITE, Dialect
from millrace.runners.sql.faults import SqlFault, invalid, refused

DIALECTS = {"sqlite": SQLITE, "postgresql": POSTGRES, "postgres": POSTGRES, "mysql": MYSQL, "mariadb": MYSQL}
DEFAULT_PORTS = {POSTGRES: 5432, MYSQL: 3306}

TLS_MODES = {
    "disable": "disable", "disabled": "disable", "false": "disable",
    "prefer": "prefer", "preferred": "prefer",
    "require": "require", "required": "require", "true": "require",
    "verify-ca": "verify-ca", "verify_ca": "verify-ca",
    "verify-full": "verify-full", "verify_identity": "verify-full",
}  # fmt: skip
OPTIONS = {
    "sslmode": "tls", "ssl_mode": "tls", "ssl-mode": "tls", "ssl": "tls",
    "connect_timeout": "connect_timeout", "application_name": "application_name", "charset": "charset",
}  # fmt: skip
CHARSETS = {"utf8mb4", "utf8", "utf-8"}
LONGEST_CONNECT = 300


@dataclass(frozen=True, slots=True)
class Target:
    """A checked connection string. For SQLite only `database`, the path, has a meaning; empty is in memory."""

    dialect: Dialect
    database: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    tls: str = "prefer"
    connect_timeout: float = 10.0
    application_name: str = "millrace"


def read_target(connection_string: str) -> Target:
    if re.search(r"[\x00-\x20\x7f]", connection_string):
        raise _fault("holds a space or control character; write it as %20 and the like")
    scheme, separator, rest = connection_string.partition("://")
    dialect = DIALECTS.get(scheme.partition("+")[0].lower())
    if not separator or dialect is None:
        raise _fault("must begin with sqlite:///, postgresql:// or mysql:// (or mariadb://)")
    return _sqlite(rest) if dialect is SQLITE else _server(dialect, connection_string)


def secrets_in(connection_string: str) -> tuple[str, ...]:
    """Every form of the password in which a message could repeat it, longest first; also of one that does not parse."""
    _, separator, rest = connection_string.partition("://")
    login, at, _ = rest.rpartition("@")
    password = login.partition(":")[2]
    if not separator or not at or not password:
        return ()
    plain = unquote(password)
    forms = {password, plain, quote(plain), quote(plain, safe=""), repr(plain)[1:-1], connection_string}
    return tuple(sorted(forms, key=len, reverse=True))


def _sqlite(rest: str) -> Target:
    if "?" in rest or "#" in rest:
        raise refused(
            "connection_string: options are not allowed for SQLite; write sqlite:///PATH, and `read_only: true`"
        )
    if rest in ("", "/", "/:memory:"):
        return Target(SQLITE, "")
    path = unquote(rest.removeprefix("/"))
    if not rest.startswith("/") or "\0" in path:
        raise _fault("must be sqlite:///PATH, sqlite:////ABSOLUTE/PATH or sqlite:///:memory:")
    if path.lower().startswith("file:"):
        raise refused("connection_string: `file:` addresses are not allowed; write sqlite:///PATH")
    return Target(SQLITE, path)


def _server(dialect: Dialect, connection_string: str) -> Target:
    if "," in connection_string.rpartition("@")[2].partition("/")[0]:
        raise refused("connection_string: several hosts are not allowed; name one")
    parts = _split(connection_string)
    host = parts.hostname or ""
    if not host:
        raise refused("connection_string: a host is needed; connections through a socket file are not allowed")
    if "%" in host or "/" in host or "\\" in host:
        raise refused("connection_string: the host must be a name or an address; socket files are not allowed")
    if not parts.username:
        raise _fault("names no user; write scheme://USER:PASSWORD@HOST/DATABASE")
    database = unquote(parts.path.removeprefix("/"))
    if dialect is POSTGRES and not database:
        raise _fault("names no database; write postgresql://USER:PASSWORD@HOST/DATABASE")
    target = Target(
        dialect,
        database,
        host,
        parts.port or DEFAULT_PORTS[dialect],
        unquote(parts.username),
        unquote(parts.password or ""),
        **_options(parts.query),
    )
    if "\0" in target.database + target.user + target.password:
        raise _fault("holds a NUL character")
    return target


def _split(connection_string: str) -> SplitResult:
    try:
        parts = urlsplit(connection_string)
        _ = parts.port
    except ValueError:
        raise _fault("cannot be read; write special characters of the password as %40 and the like") from None
    if parts.fragment or "#" in connection_string:
        raise _fault("holds a #; write it as %23")
    return parts


def _options(query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise _fault("has options that cannot be read; write ?name=value&name=value") from None
    for name, value in pairs:
        meaning = OPTIONS.get(name.lower())
        if meaning is None:
            raise refused(
                f"connection_string: the option {name[:40]!r} is not allowed; allowed are {', '.join(OPTIONS)}"
            )
        if meaning in found:
            raise _fault(f"gives {meaning} twice")
        found[meaning] = _READERS[meaning](value)
    found.pop("charset", None)
    return found


def _tls(value: str) -> str:
    mode = TLS_MODES.get(value.lower())
    if mode is None:
        raise _fault("has an unknown sslmode; known are disable, prefer, require, verify-ca, verify-full")
    return mode


def _connect_timeout(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= LONGEST_CONNECT:
        raise _fault(f"needs a connect_timeout of 1 to {LONGEST_CONNECT} seconds")
    return float(value)


def _application_name(value: str) -> str:
    if not re.fullmatch(r"[ -~]{1,63}", value):
        raise _fault("needs an application_name of 1 to 63 ASCII characters")
    return value


def _charset(value: str) -> str:
    if value.lower() not in CHARSETS:
        raise _fault("asks for another charset than utf8mb4, which is the only one")
    return value


_READERS = {
    "tls": _tls,
    "connect_timeout": _connect_timeout,
    "application_name": _application_name,
    "charset": _charset,
}


def _fault(what: str) -> SqlFault:
    return invalid(f"connection_string: {what}")
