"""What is asked and told about accounts, logins and tokens. No secret is told but one that was made just now."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.texts import NO_NUL

LOGIN_EXAMPLE: Final[dict[str, Any]] = {"email": "ada@example.com", "password": "four words of your own"}
REFRESH_EXAMPLE: Final[dict[str, Any]] = {"refresh_token": "mrr_…"}
RESET_EXAMPLE: Final[dict[str, Any]] = {"token": "mrp_…", "password": "four words of your own"}
PASSWORD_EXAMPLE: Final[dict[str, Any]] = {"old_password": "…", "new_password": "four words of your own"}
NAME_EXAMPLE: Final[dict[str, Any]] = {"name": "Ada Lovelace"}
SETUP_EXAMPLE: Final[dict[str, Any]] = {
    "setup_key": "mr_…",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "password": "four words of your own",
}
LONGEST_SECRET: Final = 4_096
WRITE_ONLY: Final[dict[str, Any]] = {"writeOnly": True}


def secret_text(description: str) -> Any:
    return Field(max_length=LONGEST_SECRET, pattern=NO_NUL, description=description, json_schema_extra=WRITE_ONLY)


class _Private(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class LoginBody(_Private):
    email: str = Field(max_length=1_000, pattern=NO_NUL)
    password: str = secret_text("The password.")


class RefreshBody(_Private):
    refresh_token: str = secret_text("The one that came last; it can be used once.")


class ResetBody(_Private):
    token: str = secret_text("What an administrator has passed on.")
    password: str = secret_text("12 to 1024 characters.")


class PasswordBody(_Private):
    old_password: str = secret_text("The one that holds now.")
    new_password: str = secret_text("12 to 1024 characters.")


class SetupBody(_Private):
    setup_key: str = secret_text("The first API key, which is in the file api-key of the home folder.")
    email: str = Field(max_length=1_000, pattern=NO_NUL)
    name: str = Field(max_length=1_000, pattern=NO_NUL)
    password: str = secret_text("12 to 1024 characters.")


class AccountChange(_Private):
    name: str = Field(max_length=1_000, pattern=NO_NUL, description="What others see.")


class SetupNeeded(BaseModel):
    needed: bool = Field(description="Whether nobody has a password yet.")


class Tokens(BaseModel):
    """As OAuth 2 has it (RFC 6749)."""

    access_token: str = Field(description="For `Authorization: Bearer`.")
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds for which the access token holds.")
    refresh_token: str = Field(description="Gives the next tokens, once.")
    scope: str | None = Field(default=None, description="The permissions it is limited to, with blanks between.")


class TokenError(BaseModel):
    error: str = Field(description="invalid_request, invalid_grant, invalid_scope, unsupported_grant_type, …")
    error_description: str


class UserView(BaseModel):
    id: str
    kind: Literal["person", "service"]
    email: str | None
    name: str
    role: str
    access: Literal["all", "granted"] = Field(
        description="granted: of workflows this user sees and does only what grants on single ones give."
    )
    status: Literal["active", "disabled", "deleted"]
    has_password: bool
    must_change_password: bool = Field(description="Somebody else chose it: nothing else can be done before.")
    created_at: str
    updated_at: str | None
    disabled_at: str | None
    last_login_at: str | None


class UsedKey(BaseModel):
    id: str
    name: str
    prefix: str = Field(description="How the key begins.")


class Me(UserView):
    permissions: list[str] = Field(description="What can be done with the credential of this request.")
    credential: Literal["api_key", "session"]
    session_id: str | None
    api_key: UsedKey | None = Field(description="The key of this request; null for a login.")


class SessionView(BaseModel):
    id: str
    kind: Literal["web", "token"]
    address: str | None
    user_agent: str | None
    current: bool = Field(description="Whether this request belongs to it.")
    created_at: str
    last_used_at: str = Field(description="To the minute.")
    expires_at: str


class SessionPage(BaseModel):
    items: list[SessionView]
    next_cursor: str | None


class Ended(BaseModel):
    ended: int = Field(description="Logins that have ended.")
