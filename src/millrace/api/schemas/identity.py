"""What is asked and told about users and API keys. A key or a token is told once, in the answer that makes it."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from millrace.api.queries import instant
from millrace.api.schemas.accounts import LONGEST_SECRET, WRITE_ONLY, UserView
from millrace.api.schemas.texts import NO_NUL
from millrace.api.schemas.users import UserRef
from millrace.auth.permissions import Permission, Role
from millrace.core.durations import REMEDY, parse_duration
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import Duration, Instant

USER_EXAMPLE: Final[dict[str, Any]] = {"email": "grace@example.com", "name": "Grace Hopper", "role": "operator"}
CHANGE_EXAMPLE: Final[dict[str, Any]] = {"role": "developer"}
KEY_EXAMPLE: Final[dict[str, Any]] = {"name": "nightly export", "scopes": ["run:read"], "expires_in": "90d"}
ROTATE_EXAMPLE: Final[dict[str, Any]] = {"overlap": "1d"}

RoleWord = Literal["admin", "developer", "operator", "viewer"]
AccessWord = Literal["all", "granted"]
ROLE_NAMES: Final = {"user": "operator"}
"""Other names of roles, in requests."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class UserChange(_Strict):
    name: str | None = Field(default=None, max_length=1_000, pattern=NO_NUL, description="What others see.")
    email: str | None = Field(default=None, max_length=1_000, pattern=NO_NUL)
    role: RoleWord | None = Field(default=None, description="`user` is another name of `operator`.")

    @field_validator("role", mode="before")
    @classmethod
    def _of_our_words(cls, value: object) -> object:
        return ROLE_NAMES.get(value, value) if isinstance(value, str) else value

    access: AccessWord | None = Field(
        default=None, description="granted: of workflows only what grants on single ones give; for no administrator."
    )

    def given(self) -> dict[str, str]:
        return self.model_dump(exclude_none=True)


class UserBody(UserChange):
    kind: Literal["person", "service"] = Field(
        default="person", description="A service account is for a program: it has API keys and no password."
    )
    name: str = Field(max_length=1_000, pattern=NO_NUL, description="Of a service account such as deploy-bot.")
    password: str | None = Field(
        default=None,
        max_length=LONGEST_SECRET,
        pattern=NO_NUL,
        json_schema_extra=WRITE_ONLY,
        description="12 to 1024 characters, to be changed at the first login. Without it the answer has a reset token.",
    )

    def role_or(self, usual: Role) -> Role:
        return usual if self.role is None else Role(self.role)

    def check(self) -> None:
        """Raises `InvalidRequest` for what does not go together."""
        if self.kind == "service":
            for name in ("email", "password"):
                if getattr(self, name) is not None:
                    raise _refused(name, f"a service account has no {name}", "leave it out")
        elif self.email is None:
            raise _refused("email", "a person has an e-mail address", "write one such as ada@example.com")


class MadeUser(UserView):
    reset_token: str | None = Field(description="Shown once: who has it sets the password (POST /auth/reset).")
    reset_expires_at: str | None


class UserPage(BaseModel):
    items: list[UserView]
    next_cursor: str | None


class KeyBody(_Strict):
    name: str = Field(max_length=1_000, pattern=NO_NUL, description="What it is for.")
    scopes: list[str] | None = Field(
        default=None, max_length=100, description="Permissions that it is limited to; without it all of the role."
    )
    expires_in: str | None = Field(default=None, max_length=60, description="How long it holds, such as 90d.")
    expires_at: AwareDatetime | None = Field(default=None, strict=False, description="Or until when.")
    user: str | None = Field(
        default=None, max_length=1_000, pattern=NO_NUL, description="Whose it is to be: id, e-mail or service account."
    )

    def permissions(self) -> frozenset[Permission] | None:
        """Raises `InvalidRequest`."""
        if self.scopes is None:
            return None
        known = {permission.value for permission in Permission}
        for place, scope in enumerate(self.scopes):
            if scope not in known:
                raise _refused(f"scopes[{place}]", "there is no such permission", f"one of {', '.join(sorted(known))}")
        if not self.scopes:
            raise _refused("scopes", "a key that may do nothing is of no use", "name a permission, or leave it out")
        return frozenset(map(Permission, self.scopes))

    def lifetime(self) -> Duration | None:
        """Raises `InvalidRequest`."""
        if self.expires_in is not None and self.expires_at is not None:
            raise _refused("expires_at", "there is expires_in, too", "send one of them")
        return None if self.expires_in is None else _duration("expires_in", self.expires_in)

    def end(self) -> Instant | None:
        moment: datetime | None = self.expires_at
        return instant(moment)


class RotateBody(_Strict):
    overlap: str | None = Field(
        default=None, max_length=60, description="How long the old key holds beside the new one; not at all by default."
    )

    def duration(self) -> Duration:
        return 0 if self.overlap is None else _duration("overlap", self.overlap)


class KeyView(BaseModel):
    id: str
    name: str
    prefix: str = Field(description="How the key begins, to recognise it by.")
    user: UserRef
    scopes: list[str] | None
    status: Literal["active", "expired", "revoked"]
    created_by: UserRef | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None = Field(description="To the minute.")
    replaces: str | None = Field(description="The key that this one was rotated from.")


class MadeKey(KeyView):
    key: str = Field(description="The key itself, shown this once.")


class KeyPage(BaseModel):
    items: list[KeyView]
    next_cursor: str | None


def _duration(path: str, text: str) -> Duration:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise _refused(path, str(error), REMEDY) from None


def _refused(path: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest("invalid_request", "the request is not valid", faults=[Fault(path, "value", message, remedy)])
