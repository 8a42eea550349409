"""Messages as they travel: headers folded and encoded, bodies and attachments as MIME parts. 7-bit but for addresses
that cannot be, so that any server takes them.

The header block is written here and not by `email.message`, whose folding of names and addresses has had bugs that
let text out of its quotes. `ports.mail` has made sure that no text holds a line break.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from millrace.ports.mail import Mailbox, Message

LONGEST_LINE = 900
"""Characters of a header that go unfolded; RFC 5322 allows 998."""

SPECIAL = frozenset('()<>[]:;@\\,."')

_BODY = SMTP.clone(cte_type="7bit")
_UTF8 = Charset("utf-8")
_UTF8.header_encoding = QP


def composed(message: Message) -> bytes:
    """Headers and body, with CRLF at the end of each line. Bcc is in the envelope alone."""
    head = "".join(f"{name}: {value}\r\n" for name, value in _headers(message))
    return head.encode() + _body(message).as_bytes(policy=_BODY)


def _headers(message: Message) -> Iterator[tuple[str, str]]:
    yield "From", _mailbox(message.sender)
    for name, mailboxes in (("To", message.to), ("Cc", message.cc), ("Reply-To", message.reply_to)):
        if mailboxes:
            yield name, ",\r\n ".join(map(_mailbox, mailboxes))
    if not message.to and not message.cc:
        yield "To", "undisclosed-recipients:;"
    yield "Subject", _text("Subject", message.subject)
    yield "Date", format_datetime(datetime.now(UTC))
    yield "Message-ID", f"<{message.id}>"
    for name, value in message.headers.items():
        yield name, _text(name, value)


def _mailbox(mailbox: Mailbox) -> str:
    if not mailbox.name:
        return mailbox.address
    return f"{_phrase(mailbox.name)} <{mailbox.address}>"


def _phrase(name: str) -> str:
    """A display name: as it is, quoted, or encoded."""
    if not name.isascii() or "=?" in name:
        return Header(name, _UTF8).encode(linesep="\r\n")
    if not SPECIAL.intersection(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(name: str, text: str) -> str:
    """Free text, encoded where it is not plain, so that what looks like an encoded word stays what it is."""
    plain = text.isascii() and "=?" not in text and max(map(len, text.split(" ")), default=0) < LONGEST_LINE
    if plain and text == text.strip():
        return Header(text, "us-ascii", header_name=name).encode(linesep="\r\n")
    return Header(text, _UTF8, header_name=name).encode(linesep="\r\n")


def _body(message: Message) -> EmailMessage:
    body = EmailMessage(policy=_BODY)
    if message.text is not None:
        body.set_content(message.text)
        if message.html is not None:
            body.add_alternative(message.html, subtype="html")
    else:
        body.set_content(message.html or "", subtype="html")
    for attachment in message.attachments:
        kind, _, subtype = attachment.media_type.partition("/")
        body.add_attachment(attachment.content, maintype=kind, subtype=subtype, filename=attachment.name)
    return body
