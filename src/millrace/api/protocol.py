"""HTTP before there is a request: what is no HTTP, heads without end, and clients that keep the server waiting get a
problem document like everything else.

The server by itself answers plain text, and waits for as long as a client sends anything.
"""

from typing import Any, Final

from fastapi import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from millrace.api import problems
from millrace.api.middleware import NO_CONTENT, NOT_STORED, SECURITY_HEADERS
from millrace.api.sockets import OpenSockets, Waiting

LARGEST_HEAD: Final = 65_536
"""Bytes of the address, the headers and the trailers of a request together."""
MOST_HEADERS: Final = 100

NOT_HTTP = "this is not a request in HTTP/1.1: the first line, a header, or the length or a chunk of the body is wrong"
TOO_LARGE = f"the address and the headers of a request have at most {LARGEST_HEAD} bytes; send what is large as a body"
TOO_MANY = f"a request has at most {MOST_HEADERS} headers"
NO_ROOM = "there are too many connections; try again later (MILLRACE_MAX_CONNECTIONS says how many)"


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, sockets: OpenSockets, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open = sockets
        self._waiting = Waiting()
        self._messages = 0
        """How many requests have begun."""
        self._received = 0
        self._in_head = True
        """A connection begins with one."""
        self._in_body = False
        self._size = 0
        """Of what the parser has told of the head so far."""
        self._headers = 0
        self._told = False
        self._untold = 0
        """Bytes that the parser has taken since it last told of anything: the beginning of a line without end."""
        self._in_trailers = False
        self._too_large: str | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if not self._open.admit(self, self._host):
            self._refuse(problems.problem(503, "too_many_connections", NO_ROOM, headers=problems.RETRY_AFTER))

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.leave(self, self._host)
        super().connection_lost(exc)

    @property
    def _host(self) -> str:
        return "" if self.client is None else self.client[0]

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._told = False
        self._received += len(data)
        super().data_received(data)
        if not self._told and not self._in_body:
            self._in_head = True  # empty lines before it are no part of it, and are not to be sent for ever, either
        self._untold = 0 if self._told else self._untold + len(data)
        if self._untold > LARGEST_HEAD and not self.transport.is_closing():
            self._too_large = TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._in_head = self._told = True
        self._in_trailers, self._size, self._headers = False, 0, 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._count(len(name) + len(value))
        # Trailers come when the request is under way, or over; nothing here asks for them.
        if not self._in_trailers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._told = self._in_trailers = self._in_body = True
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def _count(self, more: int) -> None:
        self._told = True
        self._size += more
        if self._size > LARGEST_HEAD:
            self._too_large = TOO_LARGE
        elif self._headers > MOST_HEADERS:
            self._too_large = TOO_MANY
        if self._too_large is not None:
            raise ValueError(
                self._too_large
            )  # the parser makes it an error of its own, which asks for the answer below

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, and close. `msg`, the server's own words, says less than ours."""
        if self._too_large is not None:
            self._refuse(problems.problem(431, "header_too_large", self._too_large))
        else:
            self._refuse(problems.problem(400, "bad_request", NOT_HTTP))

    # --- clients that keep the server waiting -------------------------------------------------------------------------

    def look(self) -> None:
        """Once a second. Pauses between requests are the server's own affair: it ends them after five seconds."""
        if self.transport.is_closing() or self.flow.write_paused:
            left = self.transport.get_write_buffer_size()
            if self._waiting.look("reader", -left) >= self._open.stall_looks:
                self.transport.abort()
        elif self._in_head and not self._is_at_work():
            if self._waiting.look(self._messages, None) >= self._open.head_looks:
                self._end_head()
        elif self._in_body and self._is_read:
            if self._waiting.look("body", self._received) >= self._open.stall_looks:
                self._refuse(self._too_slow("another KiB of the body of a request", "MILLRACE_STALL_TIMEOUT"))
        else:
            self._waiting.look(None, None)

    @property
    def _is_read(self) -> bool:
        """Whether it is for the client to send: not where this side reads no further, or has not yet asked for it."""
        return not self.flow.read_paused and not self.cycle.waiting_for_100_continue

    def _end_head(self) -> None:
        if self._received:
            self._refuse(self._too_slow("the head of a request", "MILLRACE_HEAD_TIMEOUT"))
        else:
            self.transport.close()  # browsers open connections that they may need, and an answer to nothing confuses

    def _too_slow(self, what: str, setting: str) -> Response:
        return problems.problem(408, "request_timeout", f"{what} took too long to come; {setting} says how long it may")

    # --- answers that come from here ----------------------------------------------------------------------------------

    def _refuse(self, response: Response) -> None:
        """Answer and close; in the middle of another answer this one would be taken for a part of it."""
        if self._is_at_work():
            answering, self.cycle.disconnected = self.cycle.response_started, True
            self.cycle.message_event.set()
            if answering:
                self.transport.close()
                return
        headers = [*response.raw_headers, *SECURITY_HEADERS, NO_CONTENT, NOT_STORED, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[response.status_code] + lines + b"\r\n" + bytes(response.body))
        self.transport.close()

    def _is_at_work(self) -> bool:
        """Whether a request has been read as far as its body, and is not answered to the end."""
        if self.cycle is None:  # as it is before the first request, whatever its annotation says
            return False
        return not self.cycle.response_complete
