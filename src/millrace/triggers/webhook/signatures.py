"""Signatures over the body of a request, as it was sent: byte for byte, before anything of it is read.

github   `X-Hub-Signature-256: sha256=HEX`, over the body
stripe   `Stripe-Signature: t=TIME,v1=HEX,…`, over `TIME.BODY`; several `v1` while a secret is replaced
slack    `X-Slack-Signature: v0=HEX` and `X-Slack-Request-Timestamp`, over `v0:TIME:BODY`
generic  a header of one's choice, over the body, or over `TIME.BODY` if there is a header with the time
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from millrace.core.values import SECOND, Instant

Preset: TypeAlias = Literal["github", "stripe", "slack", "generic"]
Algorithm: TypeAlias = Literal["sha256", "sha512", "sha1"]
Encoding: TypeAlias = Literal["hex", "base64"]

MOST_SIGNATURES = 10
"""In one header of Stripe; it sends one for each secret that holds."""

_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)


class NotSigned(Exception):
    """The request is not signed as it should be; the message says what is wrong, and nothing of the secret."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a signature is made and where it stands."""

    header: str
    prefix: str = ""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    timestamp_header: str | None = None
    before_body: str = "{time}."
    """What is signed before the body where there is a time."""
    in_parts: bool = False
    """Time and signatures stand in one header, as `t=TIME,v1=SIGNATURE`."""

    @property
    def dated(self) -> bool:
        return self.in_parts or self.timestamp_header is not None

    def adjusted(
        self,
        *,
        header: str | None,
        timestamp_header: str | None,
        algorithm: Algorithm | None,
        encoding: Encoding | None,
        prefix: str | None,
    ) -> "Scheme":
        """The same but for what is given."""
        return replace(
            self,
            header=header or self.header,
            timestamp_header=timestamp_header or self.timestamp_header,
            algorithm=algorithm or self.algorithm,
            encoding=encoding or self.encoding,
            prefix=self.prefix if prefix is None else prefix,
        )


PRESETS: Mapping[Preset, Scheme] = {
    "github": Scheme("X-Hub-Signature-256", prefix="sha256="),
    "stripe": Scheme("Stripe-Signature", in_parts=True),
    "slack": Scheme(
        "X-Slack-Signature", prefix="v0=", timestamp_header="X-Slack-Request-Timestamp", before_body="v0:{time}:"
    ),
    "generic": Scheme("X-Signature"),
}


def verify(
    scheme: Scheme, secret: str, headers: Mapping[str, str], body: bytes, *, now: Instant, tolerance: int
) -> str:
    """What tells this request from all others that are signed: the same for the same request sent once more.

    `headers` by lower-case names; `tolerance` in seconds. Raises `NotSigned`.
    """
    time, given = _read(scheme, headers)
    signed = body if time is None else scheme.before_body.format(time=time).encode() + body
    expected = hmac.new(secret.encode(), signed, scheme.algorithm).digest()
    # All are compared, so that the time it takes does not tell which of them was nearly right.
    if sum([hmac.compare_digest(expected, one) for one in given]) == 0:
        raise NotSigned(f"the signature in {scheme.header} is not that of this body")
    if time is not None and abs(now // SECOND - int(time)) > tolerance:
        raise NotSigned(f"the request was signed at {time}, more than {tolerance} s from now")
    # Made of the signature that was expected: the one that was sent may be written in several ways.
    return hashlib.sha256(b"%s.%s" % (expected, (time or "").encode())).hexdigest()


def _read(scheme: Scheme, headers: Mapping[str, str]) -> tuple[str | None, Sequence[bytes]]:
    """The time as it was signed, and the signatures."""
    text = _header(scheme.header, headers)
    if scheme.in_parts:
        return _in_parts(scheme, text)
    time = None if scheme.timestamp_header is None else _time(_header(scheme.timestamp_header, headers))
    if not text.startswith(scheme.prefix):
        raise NotSigned(f"the signature in {scheme.header} does not begin with {scheme.prefix}")
    return time, [_decoded(scheme, text.removeprefix(scheme.prefix))]


def _in_parts(scheme: Scheme, text: str) -> tuple[str, Sequence[bytes]]:
    parts = [part.strip().partition("=") for part in text.split(",")]
    times = [value for key, _, value in parts if key == "t"]
    given = [value for key, _, value in parts if key == "v1"][:MOST_SIGNATURES]
    if len(times) != 1 or not given:
        raise NotSigned(f"{scheme.header} is not t=TIME,v1=SIGNATURE")
    return _time(times[0]), [_decoded(scheme, one) for one in given]


def _header(name: str, headers: Mapping[str, str]) -> str:
    text = headers.get(name.lower())
    if text is None:
        raise NotSigned(f"there is no header {name}")
    return text.strip()


def _time(text: str) -> str:
    if _TIME.fullmatch(text) is None:
        raise NotSigned("the time that was signed is not in seconds since 1970")
    return text


def _decoded(scheme: Scheme, text: str) -> bytes:
    """The bytes of a signature; none, which is never right, if it is written otherwise than it should be."""
    if scheme.encoding == "hex":
        return bytes.fromhex(text) if _HEX.fullmatch(text) else b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
