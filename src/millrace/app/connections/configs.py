"""The two forms of a connection's config: complete, which is sealed, and shown, with `***` in place of what is secret.

Who changes a connection may leave `***` where it stands, and the secret is kept, but not together with another place
that it would be sent to: otherwise a password that nobody may read could be had by pointing it at one's own server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import SecretStr, ValidationError

from millrace.app.connections.types import TYPES
from millrace.app.request_faults import of_body
from millrace.auth.masking import MASK
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject, JsonValue

Path: TypeAlias = tuple[str, ...]

NO_PLACE = frozenset({"user", "username", "database", "from", "scope", "audience"})
"""Fields that do not say where a secret goes."""


@dataclass(frozen=True, slots=True)
class ConfigForms:
    shown: JsonObject
    complete: JsonObject

    @property
    def secret(self) -> bool:
        return self.shown != self.complete


def checked_config(kind: str, given: JsonObject, before: ConfigForms | None) -> ConfigForms:
    """The config of a connection; `before` is the one it has now, if its type is the same. Raises `InvalidRequest`."""
    kept: set[Path] = set()
    filled = given if before is None else _filled(given, before.shown, before.complete, kept, ())
    try:
        model = TYPES[kind].model_validate(filled)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise _refused(*of_body(filled, found, base="config", model=TYPES[kind])) from None
    dumped = model.model_dump(by_alias=True, exclude_none=True)
    forms = ConfigForms(_mapped(dumped, shown=True), _mapped(dumped, shown=False))
    if before is not None and kept and _places(forms.complete, kept) != _places(before.complete, kept):
        fields = ", ".join("config." + ".".join(path) for path in sorted(kept))
        message = "where the connection leads is changed, so its secrets must be given again"
        raise _refused(Fault(fields, "secret_needed", message, f"write the value instead of {MASK}"))
    return forms


def _filled(given: Any, shown: JsonValue, complete: JsonValue, kept: set[Path], path: Path) -> Any:
    """`given` with the secrets that are there already in place of their masks."""
    if given == MASK and shown == MASK:
        kept.add(path)
        return complete
    if isinstance(given, dict) and isinstance(shown, dict) and isinstance(complete, dict):
        return {
            key: _filled(value, shown.get(key), complete.get(key), kept, (*path, key)) for key, value in given.items()
        }
    return given


def _places(complete: JsonValue, kept: set[Path]) -> dict[Path, JsonValue]:
    """Everything that says where secrets go."""
    return {path: leaf for path, leaf in _leaves(complete, ()) if path not in kept and path[-1] not in NO_PLACE}


def _leaves(value: JsonValue, path: Path) -> Iterator[tuple[Path, JsonValue]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _mapped(value: Any, *, shown: bool) -> Any:
    if isinstance(value, SecretStr):
        return MASK if shown else value.get_secret_value()
    if isinstance(value, dict):
        return {key: _mapped(item, shown=shown) for key, item in value.items()}
    return value


def _refused(*faults: Fault) -> InvalidRequest:
    return InvalidRequest("invalid_connection", "the connection cannot be kept", faults=faults)
