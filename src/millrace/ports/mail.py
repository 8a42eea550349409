"""The port for mail that leaves Millrace. `net.smtp` meets it: guarded, limited in time, told apart by who must act.

A `Message` cannot be made of text that would end a header and begin another: all of it is checked here, once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails

from millrace.core.values import JsonObject

Tls: TypeAlias = Literal["starttls", "tls", "none"]
"""`starttls`: begun in clear text, and ended if the server cannot secure it. `tls`: secured from the first byte."""

USUAL_PORTS: Mapping[Tls, int] = {"starttls": 587, "tls": 465, "none": 25}

LONGEST_NAME = 200
LONGEST_LOCAL_PART = 64
LONGEST_DOMAIN = 253
LONGEST_SHOWN = 100
"""Characters of a wrong address that a message repeats: never a part, for a part of a secret is not masked."""
PERMANENT = 500

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]")
_WITH_NAME = re.compile(r"(?P<name>[^<>]*?)\s*<(?P<address>[^<>\s]*)>")
_LOCAL_PART = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+)*"
)
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_MEDIA_TYPE = re.compile(r"(application|audio|font|image|model|text|video)/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


def check_header_text(text: str) -> str:
    """The text of a header. Raises `ValueError` if it holds a line break or another control character."""
    if found := _CONTROL.search(text):
        raise ValueError(f"a header cannot hold a line break or another control character ({found[0]!a})")
    return text


def check_header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name[:100]!r} cannot be the name of a header")
    return name


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Who a message is from or to. `address` is bare, and its domain in ASCII."""

    address: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Mailbox":
        """Read `ops@example.com` or `Ada Lovelace <ada@example.com>`. Raises `ValueError` for anything else.

        One text is one mailbox: with several in a text, data that is put into it could add recipients.
        """
        check_header_text(text)
        found = _WITH_NAME.fullmatch(text.strip())
        name = _unquoted(found["name"]) if found else ""
        address = found["address"] if found else text.strip()
        if len(name) > LONGEST_NAME:
            raise ValueError(f"a name before an address has at most {LONGEST_NAME} characters")
        local_part, at, domain = address.rpartition("@")
        domain = _in_ascii(domain)
        if not at or not _is_local_part(local_part) or not _is_domain(domain):
            shown = repr(address) if len(address) <= LONGEST_SHOWN else f"a text of {len(address)} characters"
            raise ValueError(
                f"{shown} is not a mail address; write name@example.com, or Name <name@example.com>, "
                "and several as a list"
            )
        return cls(f"{local_part}@{domain}", name)

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def international(self) -> bool:
        """Whether it has letters beyond ASCII before its @, which not every server takes (RFC 6531)."""
        return not self.address.isascii()


def _unquoted(name: str) -> str:
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name


def _in_ascii(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return domain.encode("idna").decode().lower()
    except UnicodeError:
        return ""


def _is_local_part(text: str) -> bool:
    return len(text.encode()) <= LONGEST_LOCAL_PART and _LOCAL_PART.fullmatch(text) is not None


def _is_domain(text: str) -> bool:
    return len(text) <= LONGEST_DOMAIN and _DOMAIN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    content: bytes
    media_type: str

    def __post_init__(self) -> None:
        check_header_text(self.name)
        if not _MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError(f"{self.media_type[:100]!r} is not the media type of a file; write such as text/csv")


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `id` is without its angle brackets; the same id tells that it is the same message again."""

    sender: Mailbox
    subject: str
    id: str
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()

    def __post_init__(self) -> None:
        for name, text in (("subject", self.subject), ("message-id", self.id), *self.headers.items()):
            check_header_name(name)
            check_header_text(text)

    @property
    def recipients(self) -> tuple[Mailbox, ...]:
        """Everyone it goes to, each address once."""
        return tuple({one.address: one for one in (*self.to, *self.cc, *self.bcc)}.values())


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes mail for others."""

    host: str
    port: int
    tls: Tls = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: Mailbox | None = None
    """Who mail is from that names nobody."""
    trusted: bool = False
    """The operator named it in the settings: it may be on a private network, whatever tasks may reach."""


def _sender(text: object) -> Mailbox | None:
    if text is not None and not isinstance(text, str):
        raise ValueError("write a mail address")
    return Mailbox.parse(text) if text else None


class _SmtpConnection(BaseModel):
    """What a connection of the type smtp says, as far as sending mail needs it."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65_535)
    tls: Tls = "starttls"
    user: str | None = None
    password: str | None = None
    sender: Annotated[Mailbox | None, PlainValidator(_sender)] = Field(default=None, alias="from")


def server_of_connection(config: JsonObject) -> MailServer:
    """What a connection of the type smtp says. Raises `ValueError` that names the fields which are not usable."""
    try:
        said = _SmtpConnection.model_validate(config)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise ValueError(", ".join(map(_unusable, found))) from None
    port = said.port or USUAL_PORTS[said.tls]
    return MailServer(said.host, port, said.tls, said.user or None, said.password, said.sender)


def _unusable(fault: ErrorDetails) -> str:
    field = str(fault["loc"][0])
    reason = fault.get("ctx", {}).get("error")
    return field if reason is None else f"{field}: {reason}"


@dataclass(frozen=True, slots=True)
class MailRefusal:
    """What a server said to a recipient or a message that it does not take."""

    code: int
    text: str

    @property
    def permanent(self) -> bool:
        """Whether the same again would come to the same end (RFC 5321, 4.2.1)."""
        return self.code >= PERMANENT

    def to_json(self) -> JsonObject:
        return {"smtp_code": self.code, "permanent": self.permanent, "reply": self.text}


@dataclass(frozen=True, slots=True)
class Sent:
    """The server has taken the message for at least one recipient."""

    reply: str
    refused: Mapping[str, MailRefusal] = field(default_factory=dict)
    """Recipients that it does not take mail for."""


class MailFailed(Exception):
    """The message was not taken. The text is for people, and holds no secret."""

    def __init__(
        self,
        message: str,
        *,
        refusal: MailRefusal | None = None,
        recipients: Mapping[str, MailRefusal] | None = None,
        unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        """The server's answer, where that was the reason."""
        self.recipients = recipients or {}
        """Recipients that were refused."""
        self.unknown = unknown
        """The connection ended between the message and its receipt: it may have been taken."""


class MailTimedOut(MailFailed):
    """The server did not answer within the time limit."""


class Mailer(Protocol):
    async def send(self, server: MailServer, message: Message, *, some: bool = False) -> Sent:
        """Hand the message over, for all recipients or for none; with `some`, for those that the server takes.

        Raises `MailFailed` and `network.AddressRefused`.
        """
        ...

    async def check(self, server: MailServer) -> None:
        """Connect, sign in and leave. Raises as `send`."""
        ...
