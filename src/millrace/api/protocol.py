"""HTTP before there is a request: what is no HTTP, and heads without end, get a problem document like everything else.

The server by itself answers plain text, and collects headers for as long as a client sends them.
"""

from typing import Any, Final

from fastapi import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from millrace.api import problems
from millrace.api.middleware import NO_CONTENT, NOT_STORED, SECURITY_HEADERS

LARGEST_HEAD: Final = 65_536
"""Bytes of the address and the headers of a request together."""

NOT_HTTP = "this is not a request in HTTP/1.1: the first line, a header, or the length or a chunk of the body is wrong"
TOO_LARGE = f"the address and the headers of a request have at most {LARGEST_HEAD} bytes; send what is large as a body"


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._received = 0
        """Bytes of a head that has not ended."""
        self._too_large = False

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_head:
            self._received += len(data)
            if self._received > LARGEST_HEAD and not self.transport.is_closing():
                self._too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._received = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > LARGEST_HEAD:
            self._too_large = True
            raise ValueError(TOO_LARGE)  # the parser makes it one of its own errors, and that asks for the answer below
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, and close. `msg`, the server's own words, says less than ours."""
        if self._too_large:
            self._send(problems.problem(431, "header_too_large", TOO_LARGE))
        else:
            self._send(problems.problem(400, "bad_request", NOT_HTTP))

    def _send(self, response: Response) -> None:
        headers = [*response.raw_headers, *SECURITY_HEADERS, NO_CONTENT, NOT_STORED, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[response.status_code] + lines + b"\r\n" + bytes(response.body))
        self.transport.close()
