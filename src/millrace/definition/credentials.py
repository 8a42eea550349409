"""Credentials that stand in a definition as they are, where everybody who reads the workflow reads them."""

import re
from collections.abc import Iterator

from millrace.core.controls import CONTROL_TYPES
from millrace.core.values import JsonObject, JsonValue
from millrace.definition import rough
from millrace.definition.expressions.templates import has_expressions
from millrace.definition.faults import at
from millrace.definition.outline import placed_tasks

URL_PASSWORD = re.compile(r"://[^/?#\s:@{]*:[^/?#\s@{]+@")

OF_SECRETS = re.compile(
    r"(?:.*[-_])?(?:password|passwd|passphrase|secret|token|api[-_]?key|authorization|cookie)", re.IGNORECASE
)
"""Names of fields, headers and variables whose value is a credential."""

PLACES = ("headers", "env", "query")
"""Fields of a config that hold such names of the author's own."""

MASK = "***"


def credential_warnings(canonical: JsonObject) -> Iterator[str]:
    for placed in placed_tasks(canonical):
        for place, what in _found(rough.mapping(placed.task.get("config")), at(placed.path, "config")):
            by_engine = placed.task["type"] in CONTROL_TYPES
            remedy = "name the secret in the task that needs it" if by_engine else "write {{ secrets.NAME }} instead"
            yield f"{place} holds {what}, which every reader sees; {remedy}"


def _found(config: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, str) and URL_PASSWORD.search(value):
            yield at(path, key), "a password"
        elif OF_SECRETS.fullmatch(key) and _is_literal(value):
            yield at(path, key), "a credential"
    for field in ("auth", *PLACES):
        for key, value in rough.mapping(config.get(field)).items():
            named = OF_SECRETS.fullmatch(key) or (field == "auth" and key == "key")
            if named and _is_literal(value):
                yield at(at(path, field), key), "a credential"


def _is_literal(value: JsonValue) -> bool:
    """Whether it is the credential itself: not made by an expression, and not what masks one."""
    return isinstance(value, str) and value not in ("", MASK) and not has_expressions(value)
