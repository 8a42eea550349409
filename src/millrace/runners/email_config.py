"""What an `email` task takes: addresses, a subject of one line, texts, files. No line break gets into a header."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from millrace.ports.mail import Mailbox, check_header_name, check_header_text
from millrace.runners.commands import as_text
from millrace.runners.task_config import TaskConfig

MOST_RECIPIENTS = 100
MOST_ATTACHMENTS = 20

OURS = frozenset(
    {
        *("to", "cc", "bcc", "from", "sender", "reply-to", "subject", "date", "message-id", "mime-version"),
        *("return-path", "received", "content-type", "content-transfer-encoding", "content-disposition"),
    }
)
"""Headers that are made of the other fields, or by mail servers."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _mailboxes(value: list[str]) -> list[str]:
    for text in value:
        Mailbox.parse(text)
    return value


Addresses: TypeAlias = Annotated[
    list[str],
    BeforeValidator(_listed),
    Field(max_length=MOST_RECIPIENTS, json_schema_extra={"type": ["array", "string"]}),
]


class AttachmentConfig(TaskConfig):
    """A file that goes along: its content, or a file that a task has made."""

    name: str | None = Field(default=None, max_length=255, description="What the file is called.")
    content: Any = Field(default=None, description="Text as it is; a value that is not text becomes JSON.")
    encoding: Literal["text", "base64"] = Field(default="text", description="What `content` is written in.")
    media_type: str | None = Field(default=None, description="Such as text/csv; text/plain or what the file is.")
    artifact: str | None = Field(default=None, description="Id of a file that a task has made, instead of `content`.")

    @model_validator(mode="before")
    @classmethod
    def _reference(cls, value: object) -> object:
        """What a reference to a file says beyond its id is for people."""
        if isinstance(value, dict) and "artifact" in value:
            return {key: item for key, item in value.items() if key not in ("size", "sha256")}
        return value

    @model_validator(mode="after")
    def _one_of_them(self) -> "AttachmentConfig":
        if (self.artifact is None) == ("content" not in self.model_fields_set):
            raise ValueError("give either content or artifact")
        if self.artifact is None and not self.name:
            raise ValueError("a file needs a name")
        check_header_text(self.name or "")
        return self


class EmailConfig(TaskConfig):
    model_config = ConfigDict(serialize_by_alias=True)

    to: Addresses = Field(
        default_factory=list, description="`ops@example.com` or `Ada <ada@example.com>`; one or a list."
    )
    cc: Addresses = Field(default_factory=list, description="They get it, too.")
    bcc: Addresses = Field(default_factory=list, description="They get it, and no other recipient sees them.")
    from_: str | None = Field(
        default=None,
        alias="from",
        description="The sender; without it that of the connection or of MILLRACE_SMTP_FROM.",
    )
    reply_to: Addresses = Field(default_factory=list, description="Where answers go, if not to the sender.")
    subject: str = Field(max_length=1000, description="One line.")
    text: Annotated[str | None, BeforeValidator(lambda value: None if value is None else as_text(value))] = Field(
        default=None, description="The message as plain text; a value that is not text becomes JSON."
    )
    html: str | None = Field(
        default=None, description="The message as HTML; with `text` beside it for who prefers that."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers.")
    attachments: list[AttachmentConfig] = Field(
        default_factory=list, max_length=MOST_ATTACHMENTS, description="Files that go along."
    )
    connection: str | None = Field(
        default=None, description="Name of a connection of the type smtp; without it MILLRACE_SMTP_HOST is used."
    )
    partial: bool = Field(
        default=False,
        description="true: send even if the server refuses some of the recipients; the output names them. "
        "false: then nobody gets it, and the task fails.",
    )

    @field_validator("to", "cc", "bcc", "reply_to")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        return _mailboxes(value)

    @field_validator("from_")
    @classmethod
    def _sender(cls, value: str | None) -> str | None:
        if value is not None:
            Mailbox.parse(value)
        return value

    @field_validator("subject")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return check_header_text(value)

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            check_header_text(text)
            if check_header_name(name).lower() in OURS:
                raise ValueError(f"{name} is made of the other fields; leave it out")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "EmailConfig":
        if not (self.to or self.cc or self.bcc):
            raise ValueError("there is no recipient; give to, cc or bcc")
        if self.text is None and self.html is None:
            raise ValueError("there is no message; give text or html")
        return self
