"""What a connection of each type says. A field of the type `SecretStr` is sealed, and shown as `***`.

A connection string is taken apart when it comes in, so that what is shown, compared and tested are named fields, and no
text is kept that hides a password somewhere inside. No message repeats a value.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from millrace.app.secrets.commands import value_faults
from millrace.ports.sendable import NotSendable, check_header_name, check_header_value, check_url

TlsMode: TypeAlias = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]
TLS_NAMES: Mapping[str, TlsMode] = {
    "disable": "disable", "disabled": "disable", "prefer": "prefer", "preferred": "prefer", "require": "require",
    "required": "require", "verify-ca": "verify-ca", "verify_ca": "verify-ca", "verify-full": "verify-full",
    "verify_identity": "verify-full",
}  # fmt: skip
TLS_OPTIONS = frozenset({"sslmode", "ssl_mode", "ssl-mode"})

_HOST = re.compile(r"[^\s/@:?#%,\\]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?")


def _maskable(value: SecretStr) -> SecretStr:
    for fault in value_faults(value.get_secret_value()):
        raise ValueError(fault.message)
    return value


def _host(value: object) -> object:
    if isinstance(value, str) and not _HOST.fullmatch(value):
        raise ValueError("write the name or address of one host, and nothing else")
    return value.strip("[]") if isinstance(value, str) else value


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @field_validator("*", mode="after")
    @classmethod
    def _long_enough(cls, value: Any) -> Any:
        return _maskable(value) if isinstance(value, SecretStr) else value


Host: TypeAlias = Annotated[str, BeforeValidator(_host), Field(description="Name or address of the server.")]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]


class DatabaseServer(Config):
    schemes: ClassVar[tuple[str, ...]]

    host: Host
    port: Port | None = Field(default=None, description="The usual one of the database if it is not given.")
    database: str | None = Field(default=None, min_length=1, max_length=255, description="Name of the database.")
    user: str = Field(min_length=1, max_length=255)
    password: SecretStr | None = Field(default=None, description="Kept encrypted.")
    tls: TlsMode = Field(default="prefer", description="How the connection is secured.")

    @model_validator(mode="before")
    @classmethod
    def _taken_apart(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "connection_string" not in given:
            return given
        if len(given) > 1:
            raise ValueError("give a connection_string, or the fields, not both")
        return _fields_of(given["connection_string"], cls.schemes)


class Mysql(DatabaseServer):
    schemes = ("mysql", "mariadb")


class Postgresql(DatabaseServer):
    schemes = ("postgresql", "postgres")

    database: str = Field(min_length=1, max_length=255, description="Name of the database.")


class Sqlite(Config):
    path: str = Field(
        min_length=1, max_length=4096, description="Path of the file, below MILLRACE_SQLITE_ALLOWED_DIRS."
    )

    @field_validator("path")
    @classmethod
    def _plain(cls, path: str) -> str:
        if "\0" in path or path.lower().startswith(("file:", "sqlite:")):
            raise ValueError("write the path of the file, without sqlite:/// before it")
        return path


class Smtp(Config):
    host: Host
    port: Port | None = Field(default=None, description="The usual one for `tls` if it is not given.")
    tls: Literal["starttls", "tls", "none"] = Field(default="starttls", description="How the connection is secured.")
    user: str | None = Field(default=None, min_length=1, max_length=255)
    password: SecretStr | None = Field(default=None, description="Kept encrypted.")
    from_: str | None = Field(default=None, alias="from", max_length=320, description="Sender of mail that names none.")


class Basic(Config):
    type: Literal["basic"]
    username: str
    password: SecretStr


class Bearer(Config):
    type: Literal["bearer"]
    token: SecretStr

    @field_validator("token")
    @classmethod
    def _in_a_header(cls, token: SecretStr) -> SecretStr:
        _check(token.get_secret_value(), check_header_value, "the header ")
        return token


class ApiKey(Config):
    type: Literal["api_key"]
    place: Literal["header", "query"] = Field(default="header", alias="in")
    key: SecretStr
    name: str = "X-API-Key"

    @field_validator("key")
    @classmethod
    def _in_a_header(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("place") == "header":
            _check(key.get_secret_value(), check_header_value, "the header ")
        return key

    @field_validator("name")
    @classmethod
    def _of_a_header(cls, name: str, info: ValidationInfo) -> str:
        if info.data.get("place") == "header":
            _check(name, check_header_name, "name ")
        return name


class ClientCredentials(Config):
    type: Literal["oauth2_client_credentials"]
    token_url: str
    client_id: str
    client_secret: SecretStr
    scope: str | None = None
    audience: str | None = None

    @field_validator("token_url")
    @classmethod
    def _address(cls, url: str) -> str:
        _check(url, check_url, "token_url ")
        return url


class Http(Config):
    url: str | None = Field(default=None, description="Address that tasks go on from. Everybody may see it.")
    webhook_url: SecretStr | None = Field(
        default=None, description="Address that is itself the credential, as those of chats are. Kept encrypted."
    )
    auth: Annotated[Basic | Bearer | ApiKey | ClientCredentials, Field(discriminator="type")] | None = Field(
        default=None, description="How requests sign in: as `auth` of the task type http."
    )

    @field_validator("url", "webhook_url")
    @classmethod
    def _address(cls, url: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        if text is None:
            return url
        _check(text, check_url, f"{info.field_name} ")
        if "#" in text or " " in text or not text.isprintable():
            raise ValueError("write https://HOST/PATH, without blanks and without #")
        return url

    @model_validator(mode="after")
    def _one_address(self) -> "Http":
        if (self.url is None) == (self.webhook_url is None):
            raise ValueError("give exactly one of url and webhook_url")
        if self.url is not None and "?" in self.url:
            raise ValueError("url: leave the query out; give it in the task, or write webhook_url if it is secret")
        return self


TYPES: Mapping[str, type[Config]] = {
    "postgresql": Postgresql,
    "mysql": Mysql,
    "mariadb": Mysql,
    "sqlite": Sqlite,
    "smtp": Smtp,
    "http": Http,
}


def _fields_of(connection_string: object, schemes: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(connection_string, str):
        raise ValueError("connection_string: write it as text")
    try:
        parts = urlsplit(connection_string)
        port, options = parts.port, parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("connection_string cannot be read; write special characters as %40 and the like") from None
    if parts.scheme not in schemes or not parts.hostname or parts.fragment or "@" in parts.path:
        raise ValueError(f"connection_string: write {schemes[0]}://USER:PASSWORD@HOST:PORT/DATABASE")
    fields: dict[str, Any] = {
        "host": parts.hostname,
        "port": port,
        "database": unquote(parts.path.removeprefix("/")) or None,
        "user": unquote(parts.username or ""),
        "password": None if parts.password is None else unquote(parts.password),
        "tls": _tls_of(options),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tls_of(options: list[tuple[str, str]]) -> TlsMode | None:
    mode = None
    for name, value in options:
        if name.lower() not in TLS_OPTIONS or value.lower() not in TLS_NAMES:
            raise ValueError("connection_string: of options only sslmode is kept; known are " + ", ".join(TLS_NAMES))
        mode = TLS_NAMES[value.lower()]
    return mode


def _check(text: str, check: Callable[[str], None], subject: str) -> None:
    """Refuses at once what a task with this connection would be refused for."""
    try:
        check(text)
    except NotSendable as error:
        told = {"subject": subject, "what": error.what, "remedy": error.remedy}
        raise PydanticCustomError("value", "{subject}{what}", told) from None
