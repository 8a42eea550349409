"""The settings of logins by an OpenID Connect provider, a group of `Settings`.

They stand before the others there, so that `MILLRACE_PUBLIC_URL` can be asked for where there is a provider.
"""

import json
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from millrace.config.checks import SHORTEST

RoleName: TypeAlias = Literal["admin", "developer", "operator", "viewer"]
LONGEST_ISSUER: Final = 255
"""Characters, as the table of identities has them."""


def checked_issuer(url: str | None, info: ValidationInfo) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        plain = parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        parts, plain = urlsplit(""), False
    printed = url.isascii() and url.isprintable() and " " not in url and len(url) <= LONGEST_ISSUER
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or not printed:
        raise ValueError("write the provider's issuer, as in https://login.example.com/realms/main")
    if parts.scheme == "http" and not (info.data.get("oidc_allow_http") and is_loopback(parts.hostname)):
        raise ValueError(
            "http:// would send tokens in clear text; use https://, or for a provider on this machine "
            "MILLRACE_OIDC_ALLOW_HTTP=true"
        )
    return url


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def needed_for_issuer(value: str | None, info: ValidationInfo) -> str | None:
    if value is None and info.data.get("oidc_issuer") is not None:
        raise ValueError("MILLRACE_OIDC_ISSUER needs it; the provider says which it is")
    return value


def public_url_for_issuer(url: str | None, info: ValidationInfo) -> str | None:
    if url is None and info.data.get("oidc_issuer") is not None:
        raise ValueError("MILLRACE_OIDC_ISSUER needs it; the provider sends people back there")
    return url


def maskable(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) < SHORTEST:
        raise ValueError(f"a secret shorter than {SHORTEST} characters could not be kept out of logs")
    return value


class OidcSettings(BaseSettings):
    oidc_allow_http: bool = Field(
        default=False,
        description="Whether MILLRACE_OIDC_ISSUER may be http:// at a loopback address, to try it out.",
    )
    oidc_issuer: Annotated[str | None, AfterValidator(checked_issuer)] = Field(
        default=None,
        description="Issuer of an OpenID Connect provider by which people can log in, as in "
        "https://login.example.com/realms/main. It needs MILLRACE_PUBLIC_URL. Its host may be in a private network.",
    )
    oidc_client_id: Annotated[str | None, AfterValidator(needed_for_issuer)] = Field(
        default=None, validate_default=True, description="Id of this installation at the provider."
    )
    oidc_client_secret: Annotated[SecretStr | None, AfterValidator(maskable)] = Field(
        default=None, description="Secret of that client; none for a public one."
    )
    oidc_scopes: str = Field(
        default="openid email profile", description="Scopes that are asked for, with blanks between."
    )
    oidc_groups_claim: str = Field(
        default="groups",
        min_length=1,
        description="Claim with the groups of a user; one within another as in realm_access.roles.",
    )
    oidc_roles: Annotated[dict[str, RoleName], NoDecode] = Field(
        default_factory=dict,
        description="Roles of groups, such as `admins=admin,platform=developer`, or a JSON object; the highest counts, "
        "at every login. Without it roles are given here.",
    )
    oidc_default_role: Literal["developer", "operator", "viewer"] | None = Field(
        default=None, description="Role of who is in no such group; without it he is refused."
    )
    oidc_name: str = Field(
        default="OpenID Connect", min_length=1, max_length=60, description="Name of the provider, as people see it."
    )

    @field_validator("oidc_scopes")
    @classmethod
    def _with_openid(cls, text: str) -> str:
        words = text.split()
        if "openid" not in words or not text.isascii() or not text.isprintable():
            raise ValueError("write scopes with blanks between, openid among them")
        return " ".join(words)

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("{"):
            return _from_json(value)
        pairs = [part.rpartition("=") for part in value.split(",") if part.strip()]
        if not all(group.strip() and sign for group, sign, _ in pairs):
            raise ValueError("write GROUP=ROLE, with commas between several, for example admins=admin,ops=operator")
        return {group.strip(): role.strip().lower() for group, _, role in pairs}

    @field_validator("oidc_default_role", mode="before")
    @classmethod
    def _in_small_letters(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


def _from_json(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('this is no JSON object; write such as {"admins": "admin"}') from None
    return {group: role.lower() if isinstance(role, str) else role for group, role in found.items()}
