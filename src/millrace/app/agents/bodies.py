"""What requests about agents hold. No message repeats a value of `auth_config`."""

import re
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from millrace.ports.sendable import NotSendable, check_characters, check_url

NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_. -]{0,98}[A-Za-z0-9_])?")
HEALTH_PATH = "/health"
LONGEST_URL = 2_000
NO_NUL = r"^[^\x00]*$"

AuthType: TypeAlias = Literal["none", "bearer", "apikey"]


def _wrong(what: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("value", "{what}", {"what": what, "remedy": remedy})


class RetryConfig(BaseModel):
    """How often, and after how many seconds, a call is tried again where the task does not say it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    max_retries: int = Field(default=3, ge=0, le=10, description="Tries after the first one.")
    delay: float = Field(default=1, ge=0.1, le=3_600, description="Seconds before the first of them.")
    max_delay: float = Field(default=30, ge=1, le=3_600, description="No delay is longer, in seconds.")
    multiplier: float = Field(default=2, ge=1, le=100, description="Each further delay is so much longer.")


class AgentFields(BaseModel):
    """What is said of an agent when it is registered, and later."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    url: str | None = Field(
        default=None,
        max_length=LONGEST_URL,
        description="http:// or https:// address; what tasks and health checks add comes behind it.",
        examples=["https://auditor.example.com/v1"],
    )
    description: str | None = Field(default=None, max_length=2_000, pattern=NO_NUL, description="What it is for.")
    auth_type: AuthType | None = Field(default=None, description="How calls prove who makes them.")
    auth_config: dict[str, Any] | None = Field(
        default=None,
        description="For bearer {token}, for apikey {key, header}, where header is X-API-Key unless it is given. Kept "
        "encrypted and shown as `***`, which keeps what is there already.",
    )
    timeout_ms: int | None = Field(
        default=None, ge=1_000, le=300_000, description="How long a call may take; 30000 unless it is given."
    )
    retry_config: RetryConfig | None = Field(default=None, description="How a call is tried again.")
    max_concurrent: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Attempts of tasks that may call it at the same time, in the whole installation; null for any "
        "number.",
    )
    health_path: str | None = Field(
        default=None,
        max_length=LONGEST_URL,
        description=f"What stands behind the url where its health is looked at; {HEALTH_PATH} unless it is given, and "
        "an empty text for the url itself.",
    )
    status: Literal["active", "inactive"] | None = Field(
        default=None, description="Workflows that name an inactive agent are refused."
    )

    @field_validator("url")
    @classmethod
    def _of_a_server(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            check_url(url)
            address = urlsplit(url)
        except NotSendable as error:
            raise _wrong(f"url {error.what}", error.remedy) from None
        except ValueError:
            raise _wrong("url is no address", "write http://HOST/… or https://HOST/…") from None
        if "?" in url or "#" in url or address.hostname is None:
            raise _wrong("url holds a query or a fragment", "write the address that paths are added to")
        return url

    @field_validator("health_path")
    @classmethod
    def _behind_the_url(cls, path: str | None) -> str | None:
        if path:
            try:
                check_characters(path)
            except NotSendable as error:
                raise _wrong(f"health_path {error.what}", error.remedy) from None
            if not path.startswith("/"):
                raise _wrong("health_path does not begin with /", f"write such as {HEALTH_PATH}")
        return path

    @field_validator(
        "url", "auth_type", "auth_config", "timeout_ms", "retry_config", "health_path", "status", mode="before"
    )
    @classmethod
    def _not_null(cls, value: object, info: ValidationInfo) -> object:
        """Of what can be left out, only a description and a limit can be taken away."""
        if value is None:
            raise _wrong(f"{info.field_name} cannot be null", "leave it out, or give it a value")
        return value


class AgentChange(AgentFields):
    version: int | None = Field(
        default=None, ge=1, description="The version that this changes: refused if there is a newer one."
    )


class AgentBody(AgentFields):
    name: str = Field(description="What tasks call it; it stays the same for ever.", examples=["auditor"])
    url: str = Field(
        max_length=LONGEST_URL,
        description="http:// or https:// address; what tasks and health checks add comes behind it.",
        examples=["https://auditor.example.com/v1"],
    )

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            what = (
                "the name of an agent has letters, digits, blanks, _, - and . inside, at most 100 characters, and "
                "begins and ends with a letter, a digit or _"
            )
            raise _wrong(what, "write such as auditor")
        return name
