"""How calls of an agent prove who makes them: complete, which is sealed, and shown, with `***` for what is secret.

Who changes an agent may leave the credentials as they are, but not together with another server that they would be
sent to: otherwise a key that nobody may read could be had by pointing it at one's own.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from millrace.app.connections.configs import ConfigForms
from millrace.app.request_faults import of_body
from millrace.app.secrets.commands import value_faults
from millrace.auth.masking import MASK
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject
from millrace.ports.sendable import NotSendable, check_header_name, check_header_value

API_KEY_HEADER: Final = "X-API-Key"
NOTHING: Final = ConfigForms({}, {})


def _secret(value: SecretStr) -> SecretStr:
    for fault in value_faults(value.get_secret_value()):
        raise PydanticCustomError("value", "{what}", {"what": fault.message, "remedy": fault.remedy})
    try:
        check_header_value(value.get_secret_value())
    except NotSendable as error:
        raise PydanticCustomError("value", "it {what}", {"what": error.what, "remedy": error.remedy}) from None
    return value


class Bearer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    token: SecretStr = Field(description="Sent as Authorization: Bearer.")

    @field_validator("token")
    @classmethod
    def _sendable(cls, value: SecretStr) -> SecretStr:
        return _secret(value)


class ApiKey(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    header: str = Field(default=API_KEY_HEADER, max_length=100, description="The header that the key is sent in.")
    key: SecretStr = Field(description="The key.")

    @field_validator("header")
    @classmethod
    def _name(cls, name: str) -> str:
        try:
            check_header_name(name)
        except NotSendable as error:
            raise PydanticCustomError("value", "header {what}", {"what": error.what, "remedy": error.remedy}) from None
        return name

    @field_validator("key")
    @classmethod
    def _sendable(cls, value: SecretStr) -> SecretStr:
        return _secret(value)


TYPES: Mapping[str, type[BaseModel]] = {"bearer": Bearer, "apikey": ApiKey}


def checked_credentials(auth_type: str, given: JsonObject, before: ConfigForms) -> tuple[ConfigForms, bool]:
    """Both forms, and whether the secret in them is the one of `before`. Raises `InvalidRequest`."""
    model = TYPES.get(auth_type)
    if model is None:
        if given:
            message = f"auth_type {auth_type} has no auth_config"
            raise refused(Fault("auth_config", "value", message, "leave it out, or write auth_type bearer or apikey"))
        return NOTHING, False
    kept = {name for name, value in given.items() if value == MASK and before.shown.get(name) == MASK}
    filled = {name: before.complete[name] if name in kept else value for name, value in given.items()}
    try:
        checked = model.model_validate(filled)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise refused(*of_body(filled, found, base="auth_config", model=model)) from None
    dumped: dict[str, Any] = checked.model_dump()
    shown = {name: MASK if isinstance(value, SecretStr) else value for name, value in dumped.items()}
    complete = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in dumped.items()
    }
    return ConfigForms(shown, complete), bool(kept)


def refuse_elsewhere(before: str, after: str) -> None:
    """Raise `InvalidRequest` if credentials that are kept would be sent to another server than before."""
    if _server(before) != _server(after):
        message = "the url leads to another server, so the credentials must be given again"
        raise refused(Fault("auth_config", "secret_needed", message, "give auth_type and auth_config, too"))


def headers_of(auth_type: str, complete: JsonObject) -> Mapping[str, str]:
    match auth_type:
        case "bearer":
            return {"authorization": f"Bearer {complete['token']}"}
        case "apikey":
            return {str(complete["header"]).lower(): str(complete["key"])}
        case _:
            return {}


def refused(*faults: Fault) -> InvalidRequest:
    return InvalidRequest("invalid_agent", "the agent cannot be kept", faults=faults)


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
