"""A real SMTP server for tests, in a thread of its own: it keeps what it takes, and refuses what it is told to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from threading import Thread
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.unit.net.raw_server import server_context

USER, PASSWORD = "robot", "correct horse battery"


@dataclass(frozen=True)
class Letter:
    sender: str
    recipients: list[str]
    raw: bytes
    secured: bool
    user: str | None
    options: list[str]

    @property
    def message(self) -> EmailMessage:
        read = message_from_bytes(self.raw, policy=default)
        assert isinstance(read, EmailMessage)
        return read


@dataclass
class Mailhouse:
    """Handler and state of the server. Replies are by address (for recipients) or for the whole message."""

    letters: list[Letter] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    message_reply: str = "250 taken"
    sender_reply: str | None = None
    hang_up: bool = False
    """End the connection when the message has come, without an answer."""
    port: int = 0

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if self.sender_reply is not None:
            return self.sender_reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, _: Any) -> str:
        if reply := self.replies.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hang_up:
            server.transport.abort()
            return "250 never heard"
        if self.message_reply.startswith("250"):
            user = session.auth_data.login.decode() if session.authenticated else None
            assert envelope.mail_from is not None
            assert isinstance(envelope.content, bytes)
            self.letters.append(
                Letter(
                    envelope.mail_from,
                    list(envelope.rcpt_tos),
                    envelope.content,
                    session.ssl is not None,
                    user,
                    list(envelope.mail_options),
                )
            )
        return self.message_reply


def authenticate(_server: Any, _session: Any, _envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False, auth_data=data)


@contextmanager
def mailhouse(*, certificate: Path | None = None, starttls: bool = False, auth: bool = False) -> Iterator[Mailhouse]:
    """A server that listens on 127.0.0.1. With a certificate it speaks TLS, from the first byte or after STARTTLS."""
    house = Mailhouse()
    context = server_context(certificate) if certificate is not None else None
    loop = asyncio.new_event_loop()

    def protocol() -> SMTP:
        return SMTP(
            house,
            hostname="mail.test",
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=auth and starttls,  # elsewhere it may be done without; who does is seen in the letter
            auth_require_tls=starttls,
            authenticator=authenticate,
            enable_SMTPUTF8=True,
            loop=loop,
        )

    async def serve() -> asyncio.Server:
        return await loop.create_server(protocol, "127.0.0.1", 0, ssl=None if starttls else context)

    thread = Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    house.port = server.sockets[0].getsockname()[1]
    try:
        yield house
    finally:
        asyncio.run_coroutine_threadsafe(ended(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def ended(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
