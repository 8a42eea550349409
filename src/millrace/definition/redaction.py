"""The field `redact`: paths such as `$.input.card` and `$.tasks.charge.output.items[*].number`.

A path is not an expression: it says where something is, and nothing is computed. It begins with what it is about.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from millrace.core.redaction import EVERY, NOTHING, Redaction, StartRedaction, Step, Steps
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.controls.kinds import KINDS
from millrace.definition.faults import FaultList, at
from millrace.definition.places import TaskPlace
from millrace.definition.words import hint

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_][A-Za-z0-9_-]*) | \.(?P<every>\*) | \[(?P<position>[0-9]{1,6})\] | \[(?P<each>\*)\]
    | \['(?P<single>[^'\\]+)'\] | \["(?P<double>[^"\\]+)"\]""",
    re.VERBOSE,
)
MOST_STEPS: Final = 32
BODY_AS_SENT: Final[Steps] = ("raw",)
"""The text that a webhook's body is read from: what is not kept of the one stands in the other, too."""
AT_START: Final = ("input", "variables", "trigger")
EXAMPLES: Final = "$.input.card, $.trigger.body.token or $.tasks.charge.output.items[*].number"


class _NoPath(Exception):
    """The text is no path; the message says why."""


def redaction_in(canonical: JsonObject) -> Redaction:
    """Of a definition that was checked."""
    paths = canonical.get("redact")
    if not isinstance(paths, list):
        return NOTHING
    at_start: dict[str, list[Steps]] = {name: [] for name in AT_START}
    outputs: list[tuple[str, Steps]] = []
    for path in paths:
        head, *steps = _steps(str(path))
        if head in AT_START:
            at_start[str(head)].append(tuple(steps))
        else:
            outputs.append((str(steps[0]), tuple(steps[2:])))
    if any(steps[0] in ("body", EVERY) for steps in at_start["trigger"]):
        at_start["trigger"].append(BODY_AS_SENT)
    return Redaction(StartRedaction(**{name: tuple(found) for name, found in at_start.items()}), tuple(outputs))


def check_redaction(paths: JsonValue, tasks: Mapping[str, TaskPlace], faults: FaultList) -> None:
    for number, path in enumerate(paths if isinstance(paths, list) else ()):
        if not isinstance(path, str):
            continue  # told with the structure
        place = at("redact", number)
        try:
            steps = _steps(path)
        except _NoPath as error:
            faults.add(place, "path", str(error), f"write a path such as {EXAMPLES}")
            continue
        for message, remedy in _wrong(steps, tasks):
            faults.add(place, "path", message, remedy)


def _steps(path: str) -> Steps:
    """Raises `_NoPath`."""
    if not path.startswith("$"):
        raise _NoPath(f"a path begins with $, and this is {path[:60]!r}")
    steps: list[Step] = []
    position = 1
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            raise _NoPath(f"what stands at character {position + 1} of {path[:60]!r} is no name, no [3], no [*]")
        steps.append(_step(found))
        position = found.end()
    if len(steps) > MOST_STEPS:
        raise _NoPath(f"a path has at most {MOST_STEPS} steps, and this has {len(steps)}")
    if not steps:
        raise _NoPath("a path says where something is, and this is everything")
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["every"] or found["each"]:
        return EVERY
    if found["position"]:
        return int(found["position"])
    return found["name"] or found["single"] or found["double"]


def _wrong(steps: Steps, tasks: Mapping[str, TaskPlace]) -> Iterator[tuple[str, str]]:
    """What is wrong with a path that can be read, and the remedy."""
    head = steps[0]
    if head in AT_START:
        if len(steps) == 1:
            yield f"$.{head} is all of it", f"name what is in it, such as $.{head}.card, or $.{head}.* for everything"
        return
    if head != "tasks":
        yield "a path is about input, variables, trigger or tasks", f"write one such as {EXAMPLES}"
        return
    named = steps[1] if len(steps) > 1 else None
    if not isinstance(named, str) or steps[2:3] != ("output",):
        yield "what is not kept of a task is in its output", "write $.tasks.ID.output, or what is in it"
    elif named not in tasks:
        yield f"there is no task {named!r}{hint(named, tasks)}", "write the id of a task of this workflow"
    elif tasks[named].type in KINDS:
        message = f"{named} is done by the engine, out of what is kept already"
        yield message, "name the tasks and the input that its output is made of"
