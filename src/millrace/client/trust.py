"""Which certificates of servers are believed: those of the authorities in the file `MILLRACE_CA`, else the system's.

A server that was found by the note in its home is believed by the very certificate that the note names, whatever name
stands in it: a certificate for the outside seldom names an address of this machine, and others may not write there.
"""

import json
import os
import ssl
from pathlib import Path

from millrace.client.errors import InvalidArgument

END = "-----END CERTIFICATE-----"


def trust_for(url: str, home: Path) -> ssl.SSLContext | bool:
    """What verifies the server at this URL, `True` for what is usual. Raises `InvalidArgument`."""
    if not url.startswith("https:"):
        return True
    if named := os.environ.get("MILLRACE_CA"):
        return _of_authorities(named)
    noted = _noted_certificate(url, home)
    return True if noted is None else _of_this_one(noted)


def _of_authorities(named: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(Path(named).expanduser())
    except (OSError, ssl.SSLError):
        raise InvalidArgument("MILLRACE_CA", f"{named} is no file with certificates as PEM that can be read") from None
    return context


def _of_this_one(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    return context


def _noted_certificate(url: str, home: Path) -> str | None:
    """The server's own, the first in its file: by those that follow, others of the same authority were believed."""
    try:
        note = json.loads((home / "server.json").read_text())
        if note["url"] != url:
            return None
        certificate, end, _ = Path(note["certificate"]).read_text().partition(END)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return certificate + end if end else None
