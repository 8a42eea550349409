"""A definition as the rest of Millrace uses it: canonical, checked, and not to be doubted any more."""

from dataclasses import dataclass

from millrace.core.values import JsonObject


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


def stored_definition(canonical: JsonObject) -> Definition:
    """A definition that was validated when it was saved."""
    return Definition(canonical)
