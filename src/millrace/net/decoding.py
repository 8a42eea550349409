"""Undoing the content coding of an answer in small parts, so that a few kilobytes cannot become gigabytes at once."""

import zlib
from collections.abc import Iterator
from typing import Protocol

from millrace.ports.http import HttpFailed

PART = 256 * 1024
"""Bytes that are decoded before they are looked at."""


class Decoder(Protocol):
    def parts(self, raw: bytes) -> Iterator[bytes]: ...

    def end(self) -> None:
        """Raises `HttpFailed` if the answer ended in the middle."""
        ...


class Plain:
    def parts(self, raw: bytes) -> Iterator[bytes]:
        yield raw

    def end(self) -> None:
        return None


class Inflate:
    """gzip and deflate."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._inflate: zlib._Decompress | None = None

    def parts(self, raw: bytes) -> Iterator[bytes]:
        try:
            while raw:
                if self._inflate is None or self._inflate.eof:
                    self._inflate = self._next(raw)
                yield from self._inflated(raw)
                raw = self._inflate.unused_data
        except zlib.error as error:
            raise HttpFailed(f"the answer is not compressed as it says: {error}") from None

    def end(self) -> None:
        if self._inflate is not None and not self._inflate.eof:
            raise HttpFailed("the compressed answer ended in the middle")

    def _next(self, raw: bytes) -> "zlib._Decompress":
        """gzip may hold several members one after another; deflate comes with and without the header of zlib."""
        if self._window == zlib.MAX_WBITS:
            if self._inflate is not None:
                raise HttpFailed("the compressed answer goes on after its end")
            if raw[0] & 0x0F != zlib.DEFLATED:
                return zlib.decompressobj(-zlib.MAX_WBITS)
        return zlib.decompressobj(self._window)

    def _inflated(self, raw: bytes) -> Iterator[bytes]:
        assert self._inflate is not None, "it was just made"  # noqa: S101
        while True:
            part = self._inflate.decompress(raw, PART)
            yield part
            raw = self._inflate.unconsumed_tail
            # A full part may have more behind it although all input was taken.
            if self._inflate.eof or (not raw and len(part) < PART):
                return


WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def decoder_for(coding: str) -> Decoder:
    """The decoder of a Content-Encoding. Raises `HttpFailed` for one that is not known here."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return Plain()
    if name not in WINDOWS:
        raise HttpFailed(f"the answer is encoded as {name[:40]}, which cannot be read; gzip and deflate can")
    return Inflate(WINDOWS[name])
