"""Mail by SMTP. It connects only to addresses that the policy gave, but for the server of the settings.

The message is not sent before every recipient was accepted, so that a failed attempt has reached nobody and may be
repeated. The one exception is told: a connection that breaks after the message and before its receipt.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from millrace.config import Settings, SettingsError
from millrace.net.messages import composed
from millrace.net.reasons import reason_of
from millrace.ports.mail import (
    USUAL_PORTS,
    Mailbox,
    MailFailed,
    MailRefusal,
    MailServer,
    MailTimedOut,
    Message,
    Sent,
)
from millrace.ports.network import Addresses

if TYPE_CHECKING:
    from aiosmtplib import SMTP

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 60.0
"""For each answer of the server, but for the one to the message."""
RECEIPT_SECONDS = 300.0
"""Servers may look for viruses before they answer (RFC 5321, 4.5.3.2.6 asks for ten minutes)."""
GOODBYE_SECONDS = 2.0
LONGEST_TEXT = 500


class SmtpMailer:
    """Meets `ports.mail.Mailer`. Each message has a connection of its own."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def send(self, server: MailServer, message: Message, *, some: bool = False) -> Sent:
        content = await asyncio.to_thread(composed, message)
        with _in_our_words(server):
            client = await self._connected(server)
            try:
                await _sign_in(client, server)
                refused = await _accepted(client, message, len(content), some=some)
                reply = await _delivered(client, content, server)
            finally:
                await _leave(client)
        return Sent(reply, refused)

    async def check(self, server: MailServer) -> None:
        with _in_our_words(server):
            client = await self._connected(server)
            try:
                await _sign_in(client, server)
            finally:
                await _leave(client)

    async def _connected(self, server: MailServer) -> "SMTP":
        from aiosmtplib import SMTP

        context = await asyncio.to_thread(ssl.create_default_context) if server.tls != "none" else None
        client = SMTP(
            hostname=server.host,
            timeout=ANSWER_SECONDS,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=context,
            local_hostname=await asyncio.to_thread(_own_name),
            sock=await self._socket(server),
        )
        try:
            await client.connect(timeout=CONNECT_SECONDS)
            await _introduced(client)
        except BaseException:
            client.close()
            if client.sock is not None:
                client.sock.close()
            raise
        return client

    async def _socket(self, server: MailServer) -> socket.socket:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await self._found(server)
                failure: OSError = OSError(f"{server.host} has no address")
                for address in found:
                    try:
                        return await _connected_socket(address, server.port)
                    except OSError as error:
                        failure = error
        except TimeoutError:
            raise MailTimedOut(f"{_shown(server)} did not answer in time") from None
        raise failure

    async def _found(self, server: MailServer) -> tuple[str, ...]:
        if not server.trusted:
            return await self._addresses.resolve(server.host, server.port)
        found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _connected_socket(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


async def _introduced(client: "SMTP") -> None:
    """Say hello, where the library has not, so that the server's abilities are known."""
    from aiosmtplib import SMTPHeloError

    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except SMTPHeloError:
            await client.helo()


async def _sign_in(client: "SMTP", server: MailServer) -> None:
    if server.user is None:
        return
    if server.tls == "none" and not _is_loopback(client):
        raise MailFailed(
            f"the password for {_shown(server)} would travel in clear text; set tls to starttls or tls, "
            "or leave user and password out"
        )
    await client.login(server.user, server.password or "")


def _is_loopback(client: "SMTP") -> bool:
    return ip_address(client.get_transport_info("peername")[0]).is_loopback


async def _accepted(client: "SMTP", message: Message, size: int, *, some: bool) -> Mapping[str, MailRefusal]:
    """Hand the envelope over; answers the recipients that were refused. Raises `MailFailed` unless enough were not."""
    from aiosmtplib import SMTPRecipientRefused

    options = [f"size={size}"] if client.supports_extension("size") else []
    encoding = "ascii"
    if any(one.international for one in (message.sender, *message.recipients, *message.reply_to)):
        if not client.supports_extension("smtputf8"):
            raise MailFailed("an address has letters beyond ASCII before its @, which this mail server does not take")
        options, encoding = [*options, "SMTPUTF8", "BODY=8BITMIME"], "utf-8"
    await client.mail(message.sender.address, options=options, encoding=encoding)
    refused: dict[str, MailRefusal] = {}
    for recipient in message.recipients:
        try:
            await client.rcpt(recipient.address, encoding=encoding)
        except SMTPRecipientRefused as error:
            refused[recipient.address] = _refusal(error.code, error.message)
    if refused and (not some or len(refused) == len(message.recipients)):
        raise _nobody_reached(refused)
    return refused


def _nobody_reached(refused: Mapping[str, MailRefusal]) -> MailFailed:
    first, said = next(iter(refused.items()))
    others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return MailFailed(
        f"the mail server does not take mail for {first}{others}: {said.code} {said.text}",
        refusal=next((one for one in refused.values() if one.permanent), said),
        recipients=refused,
    )


async def _delivered(client: "SMTP", content: bytes, server: MailServer) -> str:
    """Send the message; answers what the server says to it."""
    from aiosmtplib import SMTPServerDisconnected, SMTPTimeoutError

    try:
        return _one_line((await client.data(content, timeout=RECEIPT_SECONDS)).message)
    except SMTPTimeoutError:
        raise MailTimedOut(f"{_shown(server)} did not say in time whether it took the message", unknown=True) from None
    except (SMTPServerDisconnected, ConnectionError) as error:
        message = f"{_shown(server)} broke off before it said whether it took the message"
        raise MailFailed(message, unknown=True) from error


async def _leave(client: "SMTP") -> None:
    """Say goodbye where that is possible, and close in any case."""
    try:
        if client.is_connected:
            with suppress(Exception):
                await client.quit(timeout=GOODBYE_SECONDS)
    finally:
        client.close()


@contextmanager
def _in_our_words(server: MailServer) -> Iterator[None]:
    from aiosmtplib import (
        SMTPAuthenticationError,
        SMTPConnectError,
        SMTPException,
        SMTPResponseException,
        SMTPServerDisconnected,
        SMTPTimeoutError,
    )

    try:
        yield
    except SMTPTimeoutError as error:
        raise MailTimedOut(f"{_shown(server)} did not answer in time") from error
    except SMTPAuthenticationError as error:
        refusal = MailRefusal(error.code, "")  # what a server says here may repeat what it was told
        raise MailFailed(
            f"{_shown(server)} does not accept the user and password: {refusal.code}", refusal=refusal
        ) from error
    except SMTPResponseException as error:
        refusal = _refusal(error.code, error.message)
        raise MailFailed(f"{_shown(server)} refuses: {refusal.code} {refusal.text}", refusal=refusal) from error
    except (SMTPConnectError, SMTPServerDisconnected) as error:
        reason = reason_of(error)
        told = "it closed the connection" if reason == str(error) else reason
        raise MailFailed(f"{_shown(server)}: {told}") from error
    except SMTPException as error:
        raise MailFailed(f"{_shown(server)}: {_one_line(str(error.message))}") from error
    except OSError as error:
        raise MailFailed(f"{_shown(server)}: {reason_of(error)}") from error


def _refusal(code: int, text: str) -> MailRefusal:
    return MailRefusal(code, _one_line(text))


def _one_line(text: str) -> str:
    """What a server said. It may be anything."""
    line = " ".join(text.split())[:LONGEST_TEXT]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def _shown(server: MailServer) -> str:
    return f"the mail server {server.host}:{server.port}"


def _own_name() -> str:
    """What this machine calls itself to the server."""
    name = socket.getfqdn()
    return name if name and name.isascii() and not any(character.isspace() for character in name) else "localhost"


def server_of(settings: Settings) -> MailServer | None:
    """The mail server of the settings, if they name one. Raises `SettingsError` for a sender that is no address."""
    if settings.smtp_host is None:
        return None
    try:
        sender = None if settings.smtp_from is None else Mailbox.parse(settings.smtp_from)
    except ValueError as error:
        raise SettingsError(f"MILLRACE_SMTP_FROM: {error}") from None
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port or USUAL_PORTS[settings.smtp_tls],
        tls=settings.smtp_tls,
        user=settings.smtp_user,
        password=None if settings.smtp_password is None else settings.smtp_password.get_secret_value(),
        sender=sender,
        trusted=True,
    )
