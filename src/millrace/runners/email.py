"""`email`: one message by SMTP, for all of its recipients or for none.

The Message-ID is made of the run and the task, so that a message that was sent twice, because a worker died in between,
is the same message twice: mail programs show it once, and a reader can tell.
"""

import base64
import binascii
import hashlib
from typing import ClassVar, Literal

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject
from millrace.ports.artifacts import ArtifactFault, Artifacts
from millrace.ports.connections import ConnectionUnavailable
from millrace.ports.mail import (
    Attachment,
    Mailbox,
    MailFailed,
    MailServer,
    MailTimedOut,
    Message,
    server_of_connection,
)
from millrace.ports.network import AddressRefused
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.ports.secrets import SecretUse
from millrace.runners.commands import as_text
from millrace.runners.email_config import AttachmentConfig, EmailConfig

LARGEST_ATTACHMENTS = 10 * 1024 * 1024
TOO_LARGE = f"the attachments are larger than {LARGEST_ATTACHMENTS} bytes together"
CONNECTION_TYPES = frozenset({"smtp"})


class Unsendable(Exception):
    """The message or its server is not what it must be; carries the outcome."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        super().__init__(message)
        self.outcome = Failed.because(message, kind=kind)


class EmailRunner:
    type: ClassVar[str] = "email"
    summary: ClassVar[str] = "Sends an e-mail."
    config_model: ClassVar[ConfigModel] = EmailConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()
    keeps_to_hosts: ClassVar[Literal[True]] = True

    def __init__(self, services: RunnerServices) -> None:
        self._mailer = services.mailer
        self._server = services.mail_server
        self._connections = services.connections

    async def close(self) -> None:
        """Each message has a connection of its own."""

    async def run(self, config: EmailConfig, context: RunnerContext) -> Outcome:
        if self._mailer is None:
            return Failed.because("this worker cannot send mail", kind=FailureKind.REFUSED)
        try:
            server = await self._chosen_server(config.connection, context.use)
            context.hosts.check(server.host, server.port)
            message = await _message(config, server, context)
            sent = await self._mailer.send(server, message, some=config.partial)
        except Unsendable as error:
            return error.outcome
        except AddressRefused as error:
            return Failed.because(str(error), kind=FailureKind.REFUSED)
        except MailFailed as error:
            return _failed(error, message.id)
        reached = [one.address for one in message.recipients if one.address not in sent.refused]
        context.log(f"sent to {len(reached)} of {len(message.recipients)} recipients: {sent.reply}")
        return Completed(
            {
                "message_id": f"<{message.id}>",
                "accepted": [*reached],
                "refused": {address: refusal.to_json() for address, refusal in sent.refused.items()},
                "reply": sent.reply,
            }
        )

    async def _chosen_server(self, connection: str | None, use: SecretUse) -> MailServer:
        if connection is None:
            if self._server is None:
                raise Unsendable(
                    "there is no mail server; set MILLRACE_SMTP_HOST, or name a connection", FailureKind.REFUSED
                )
            return self._server
        if self._connections is None:
            raise Unsendable("this worker has no connections", FailureKind.REFUSED)
        try:
            found = await self._connections.resolve(connection, types=CONNECTION_TYPES, use=use)
            return server_of_connection(found.config)
        except ConnectionUnavailable as error:
            raise Unsendable(str(error), FailureKind.REFUSED) from error
        except ValueError as error:
            raise Unsendable(f"the connection {connection!r} is not usable: {error}", FailureKind.REFUSED) from None


async def _message(config: EmailConfig, server: MailServer, context: RunnerContext) -> Message:
    sender = Mailbox.parse(config.from_) if config.from_ is not None else server.sender
    if sender is None:
        raise Unsendable("there is no sender; give `from`, or set MILLRACE_SMTP_FROM", FailureKind.INVALID_INPUT)
    task = hashlib.sha256(context.task_id.encode()).hexdigest()[:16]
    return Message(
        sender=sender,
        subject=config.subject,
        id=f"{context.run_id}.{task}@{sender.domain}",
        to=_parsed(config.to),
        cc=_parsed(config.cc),
        bcc=_parsed(config.bcc),
        reply_to=_parsed(config.reply_to),
        text=config.text,
        html=config.html,
        headers=_with_own(config.headers),
        attachments=await _attachments(config.attachments, context.artifacts),
    )


def _with_own(headers: dict[str, str]) -> dict[str, str]:
    """Programs that answer by themselves, such as holiday notices, leave such mail alone (RFC 3834)."""
    said = any(name.lower() == "auto-submitted" for name in headers)
    return headers if said else {"Auto-Submitted": "auto-generated", **headers}


def _parsed(texts: list[str]) -> tuple[Mailbox, ...]:
    return tuple(map(Mailbox.parse, texts))


async def _attachments(given: list[AttachmentConfig], files: Artifacts) -> tuple[Attachment, ...]:
    made, left = [], LARGEST_ATTACHMENTS
    for place, one in enumerate(given):
        try:
            attachment = await _attachment(one, files, left)
        except ArtifactFault as error:
            raise Unsendable(f"attachments[{place}]: {error}", error.kind) from error
        except ValueError as error:
            raise Unsendable(f"attachments[{place}]: {error}", FailureKind.INVALID_INPUT) from None
        left -= len(attachment.content)
        made.append(attachment)
    return tuple(made)


async def _attachment(given: AttachmentConfig, files: Artifacts, left: int) -> Attachment:
    """Raises `ValueError` for what cannot be attached, be it for lack of room."""
    if given.artifact is None:
        content, name, media_type = _content(given), given.name or "", given.media_type or "text/plain"
    else:
        async with files.open(given.artifact) as file:
            if file.size > left:
                raise ValueError(TOO_LARGE)
            content = b"".join([part async for part in file.parts])
        name, media_type = given.name or file.name, given.media_type or file.media_type
    if len(content) > left:
        raise ValueError(TOO_LARGE)
    return Attachment(name, content, media_type)


def _content(given: AttachmentConfig) -> bytes:
    text = as_text(given.content)
    if given.encoding == "text":
        return text.encode(errors="replace")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the content is not base64: {error}") from None


def _failed(error: MailFailed, message_id: str) -> Failed:
    details: JsonObject = {"message_id": f"<{message_id}>"}
    if error.refusal is not None:
        details.update(error.refusal.to_json())
    if error.recipients:
        details["refused"] = {address: refusal.to_json() for address, refusal in error.recipients.items()}
    if error.unknown:
        details["maybe_sent"] = True
    kind = FailureKind.TIMEOUT if isinstance(error, MailTimedOut) else FailureKind.ERROR
    return Failed.because(str(error), kind=kind, details=details)
