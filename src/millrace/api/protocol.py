"""HTTP before there is a request: what is no HTTP, and heads without end, get a problem document like everything else.

The server by itself answers plain text, and collects headers for as long as a client sends them.
"""

from typing import Any, Final

from fastapi import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from millrace.api import problems
from millrace.api.middleware import NO_CONTENT, NOT_STORED, SECURITY_HEADERS

LARGEST_HEAD: Final = 65_536
"""Bytes of the address, the headers and the trailers of a request together."""

NOT_HTTP = "this is not a request in HTTP/1.1: the first line, a header, or the length or a chunk of the body is wrong"
TOO_LARGE = f"the address and the headers of a request have at most {LARGEST_HEAD} bytes; send what is large as a body"


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._size = 0
        """Of what the parser has told of the head so far."""
        self._told = False
        self._untold = 0
        """Bytes that the parser has taken since it last told of anything: the beginning of a line without end."""
        self._in_trailers = False
        self._too_large = False

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._told = False
        super().data_received(data)
        self._untold = 0 if self._told else self._untold + len(data)
        if self._untold > LARGEST_HEAD and not self.transport.is_closing():
            self._too_large = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._told, self._in_trailers, self._size = True, False, 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        # Trailers come when the request is under way, or over; nothing here asks for them.
        if not self._in_trailers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._told = self._in_trailers = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def _count(self, more: int) -> None:
        self._told = True
        self._size += more
        if self._size > LARGEST_HEAD:
            self._too_large = True
            raise ValueError(TOO_LARGE)  # the parser makes it one of its own errors, and that asks for the answer below

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, and close. `msg`, the server's own words, says less than ours."""
        if self._is_answering():
            self.transport.close()  # in the middle of an answer another one would be taken for a part of it
        elif self._too_large:
            self._send(problems.problem(431, "header_too_large", TOO_LARGE))
        else:
            self._send(problems.problem(400, "bad_request", NOT_HTTP))

    def _is_answering(self) -> bool:
        if self.cycle is None:  # as it is before the first request, whatever its annotation says
            return False
        return self.cycle.response_started and not self.cycle.response_complete

    def _send(self, response: Response) -> None:
        headers = [*response.raw_headers, *SECURITY_HEADERS, NO_CONTENT, NOT_STORED, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[response.status_code] + lines + b"\r\n" + bytes(response.body))
        self.transport.close()
