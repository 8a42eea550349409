"""What a mail says, as it is kept until it is sent: pure. Whoever writes it has masked and escaped everything in it."""

from dataclasses import asdict, dataclass

import orjson

from millrace.ports.mail import Mailbox, Message

OF_MACHINES = {"Auto-Submitted": "auto-generated"}
"""Programs that answer by themselves, such as holiday notices, leave such mail alone (RFC 3834)."""

LONGEST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Content:
    """The same words twice: as plain text, and as a page of HTML."""

    subject: str
    text: str
    html: str

    def stored(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def read(cls, stored: str) -> "Content":
        return cls(**orjson.loads(stored))


def subject_of(text: str) -> str:
    """The text as one line of bounded length: what users named things cannot end a header and begin another."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= LONGEST_SUBJECT else f"{line[: LONGEST_SUBJECT - 1]}…"


def message_of(mail_id: str, recipient: str, stored: str, sender: Mailbox) -> Message:
    """The message; each time the same one for the same mail, so mail programs show it once if it comes twice."""
    content = Content.read(stored)
    return Message(
        sender=sender,
        subject=subject_of(content.subject),
        id=f"{mail_id}@{sender.domain}",
        to=(Mailbox.parse(recipient),),
        text=content.text,
        html=content.html,
        headers=OF_MACHINES,
    )
