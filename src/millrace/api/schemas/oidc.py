"""What is asked and told about logins by an OpenID Connect provider."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.accounts import secret_text

CODE_EXAMPLE: Final[dict[str, Any]] = {"code": "mro_…", "verifier": "…"}
CHALLENGE: Final = r"^[A-Za-z0-9_-]{43}$"


class CodeBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    code: str = secret_text("What the login ended with.")
    verifier: str = secret_text("What the challenge of the login was made of.")


class LoginProvider(BaseModel):
    enabled: bool = Field(description="Whether people can log in by a provider.")
    name: str | None = Field(description="Its name, for people.")
    login_url: str | None = Field(description="Where a browser begins.")


class LoggedOut(BaseModel):
    provider_logout_url: str = Field(description="Where a browser logs out at the provider, too.")
