"""What a request may say: its address and its headers, judged before anything is sent and without any library.

One rule for a definition or a connection that is being saved, for a config whose expressions have got their values, and
for the client that sends. No message repeats what was given: it may be a secret.
"""

import re

HIGHEST_PORT = 65535
_BEGINNING = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<server>[^/?#]*)")
_SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.~%-]+)?\]|[^:\[\]\s\\]+)(?::(?P<port>.*))?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class NotSendable(ValueError):
    """`what` is wrong, to be put after the name of the thing; `remedy` is what would be right."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


def check_url(url: str) -> None:
    """Raises `NotSendable` unless this is an address that a request can be sent to."""
    check_characters(url)
    found = _BEGINNING.match(url)
    if found is None or found["scheme"].lower() not in ("http", "https"):
        raise NotSendable("must begin with http:// or https://", "write http://… or https://…")
    if "@" in found["server"]:
        raise NotSendable("holds a user name or password", "use `auth`, which keeps them out of logs")
    server = _SERVER.fullmatch(found["server"])
    if server is None:
        what = "names no server" if found["server"][:1] in ("", ":") else "has no valid name of a server"
        raise NotSendable(what, "write http://HOST/… or https://HOST/…")
    port = server["port"]
    if port and not (re.fullmatch(r"0*[0-9]{1,5}", port) and 0 < int(port) <= HIGHEST_PORT):
        raise NotSendable("has no such port", f"ports go from 1 to {HIGHEST_PORT}")


def check_characters(url: str) -> None:
    """Raises `NotSendable` if an address or a part of one holds what no address can."""
    if _CONTROL.search(url):
        raise NotSendable("holds a line break or another control character", "take it out, or write it as %0A")


def check_header_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NotSendable("cannot be the name of a header", "use letters, digits and hyphens, such as X-Request-Id")


def check_header_value(value: str) -> None:
    """Blanks around it are not sent. What is not ASCII goes out as UTF-8."""
    if _CONTROL.search(value.strip(" \t").replace("\t", "")):
        raise NotSendable(
            "holds a line break or another control character",
            "take it out; a secret that is read from a file often ends in one",
        )
