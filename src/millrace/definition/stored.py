"""A definition as the rest of Millrace uses it: canonical, checked, and not to be doubted any more."""

from dataclasses import dataclass

from millrace.core.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A canonical definition. Only `validate` and `stored_definition` make one."""

    canonical: JsonObject

    @property
    def name(self) -> str:
        return str(self.canonical["name"])

    @property
    def input_schema(self) -> JsonObject | None:
        schema = self.canonical.get("input")
        return schema if isinstance(schema, dict) else None

    @property
    def variables(self) -> JsonObject:
        variables = self.canonical.get("variables")
        return variables if isinstance(variables, dict) else {}

    @property
    def priority(self) -> int:
        priority = self.canonical.get("priority")
        return priority if isinstance(priority, int) else 0

    @property
    def concurrency(self) -> JsonObject | None:
        return _mapping(self.canonical.get("concurrency"))

    @property
    def rate_limit(self) -> JsonObject | None:
        return _mapping(self.canonical.get("rate_limit"))

    @property
    def requires_confirmation(self) -> bool:
        """Whether a manual trigger says that an explicit start must be confirmed."""
        triggers = self.canonical.get("triggers")
        manual = [
            _mapping(trigger.get("config")) or {}
            for trigger in (triggers if isinstance(triggers, list) else ())
            if isinstance(trigger, dict) and trigger.get("type") == "manual"
        ]
        return any(config.get("require_confirmation") is True for config in manual)


def _mapping(value: JsonValue) -> JsonObject | None:
    return value if isinstance(value, dict) else None


def stored_definition(canonical: JsonObject) -> Definition:
    """A definition that was validated when it was saved."""
    return Definition(canonical)
