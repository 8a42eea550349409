"""What of Millrace's own can be read by the user that commands run as: told at the start, and by the doctor."""

from collections.abc import Iterator

from millrace.core.values import JsonValue
from millrace.ports.confinement import ShellRules

CODE = "readable_by_tasks"


def readable_places(rules: ShellRules) -> Iterator[str]:
    who = "" if rules.user is None else f"the user {rules.user.name}, whom commands run as"
    for place in rules.exposed:
        yield f"{place} can be read by {who}; take the rights of others away: chmod go= {place}"


def readable_warnings(rules: ShellRules) -> list[JsonValue]:
    """As the doctor tells them."""
    found: list[JsonValue] = []
    for told in readable_places(rules):
        message, _, remedy = told.partition("; ")
        found.append({"code": CODE, "run_id": None, "message": message, "remedy": remedy})
    return found
