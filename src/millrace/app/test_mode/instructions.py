"""What test mode says about a workflow: pure, from the settings of the installation and what was said about the
workflow itself, which wins."""

from dataclasses import asdict, dataclass

import orjson

from millrace.config import Settings, SettingsError
from millrace.core.values import JsonObject
from millrace.ports.mail import Mailbox

LONGEST_RECIPIENT = 320


@dataclass(frozen=True, slots=True)
class Instructions:
    """Test mode is on: what is to be done instead of, or before, the start of a run."""

    recipient: str | None
    """Who is told. Without anybody nothing is started either: that somebody is told is the point of it."""
    skip_execution: bool
    """Whether no run starts."""


@dataclass(frozen=True, slots=True)
class OwnMode:
    """What was said about one workflow; `None` is as the settings have it."""

    on: bool
    recipient: str | None = None
    skip_execution: bool | None = None

    def stored(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    def shown(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def read(cls, stored: str) -> "OwnMode":
        said = orjson.loads(stored)
        return cls(said["on"], said.get("recipient"), said.get("skip_execution"))


@dataclass(frozen=True, slots=True)
class Instance:
    """What the settings say."""

    on: bool
    recipient: str | None
    skip_execution: bool
    """Says nothing while test mode is off."""
    can_send: bool
    """Whether there is a mail server, and a sender."""

    def instructions(self, own: OwnMode | None) -> Instructions | None:
        """What holds for a workflow; `None` while test mode is off for it."""
        if own is None:
            return Instructions(self.recipient, self.skip_execution) if self.on else None
        if not own.on:
            return None
        skip = self.skip_execution if own.skip_execution is None else own.skip_execution
        return Instructions(own.recipient or self.recipient, skip)


def check_recipient(text: str) -> None:
    """Raises `ValueError` for what is no mail address, or has too long a name before it."""
    Mailbox.parse(text)
    if len(text) > LONGEST_RECIPIENT:
        raise ValueError(f"write a mail address with its name in at most {LONGEST_RECIPIENT} characters")


def instance_of(settings: Settings) -> Instance:
    """Raises `SettingsError` for a recipient that is no mail address."""
    recipient = settings.test_mode_recipient
    if recipient is not None:
        try:
            check_recipient(recipient)
        except ValueError as error:
            raise SettingsError(f"MILLRACE_TEST_MODE_RECIPIENT: {error}") from None
    can_send = settings.smtp_host is not None and settings.smtp_from is not None
    return Instance(settings.test_mode, recipient, settings.test_mode_skip_execution, can_send)
