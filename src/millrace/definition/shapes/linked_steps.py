"""Linked steps: `{"start_step", "steps": {id: {"id", "agent_name", "next_step", "input_mapping"}}}`.

Each step is a task that calls an agent. The canonical tasks stand in the order of the chain, and each waits for the one
before it. Fields of a canonical task that are not about its work (`retry`, `timeout`, …) may stand in a step as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.model import MOST_TASKS
from millrace.definition.names import is_task_id, numbered, task_id_from
from millrace.definition.shapes.rewritten import Places
from millrace.definition.shapes.step_expressions import StepNames, UnknownStep, value_of
from millrace.definition.structure import shown
from millrace.definition.words import hint

START, STEPS, NEXT, AGENT, MAPPING = "start_step", "steps", "next_step", "agent_name", "input_mapping"
FIELDS = ("id", AGENT, NEXT, MAPPING)
SAID_OTHERWISE = {
    "type": "a step always calls an agent",
    "config": f"write {AGENT} and {MAPPING}",
    "depends_on": f"{NEXT} says which step follows",
}
"""Fields of a canonical task that a step has no place for, and why."""

FAULTY = "agent"
"""Stands for a name that was told to be missing, so that it is not told again."""


def from_linked_steps(raw: JsonObject, faults: FaultList) -> tuple[JsonObject, Places] | None:
    """The canonical shape of `raw`, and where its parts stand in `raw`; `None` if it has no steps to speak of."""
    steps = raw.get(STEPS)
    if not isinstance(steps, dict) or not 0 < len(steps) <= MOST_TASKS:
        faults.add(STEPS, *_no_steps(STEPS in raw, steps))
        return None
    known = {key: step for key, step in steps.items() if isinstance(step, dict)}
    for key, step in steps.items():
        if key not in known:
            message = f"a step must be a mapping, not {kind_of(step)}"
            faults.add(at(STEPS, key), "type", message, f"write {{id: …, {AGENT}: …}}")
    chain = _chain(raw, known, faults) if len(known) == len(steps) else list(known)
    ids = _ids(known)
    places: Places = {"tasks": STEPS}
    reader = _Reader(known, ids, faults, places)
    reached = frozenset(chain)
    order = [*chain, *(key for key in known if key not in reached)]
    tasks: list[JsonValue] = [reader.task(key, number, order[:number]) for number, key in enumerate(order)]
    canonical = {key: value for key, value in raw.items() if key not in (START, STEPS)}
    return {**canonical, "tasks": tasks}, places


def _no_steps(given: bool, steps: JsonValue) -> tuple[str, str, str]:
    """Code, message and remedy for what is no mapping of steps."""
    remedy = f"write {STEPS}: {{ID: {{id: ID, {AGENT}: …}}}}"
    if not given or steps is None:
        return "missing", f"{STEPS} is missing", remedy
    if not isinstance(steps, dict):
        return "type", f"{STEPS} must be a mapping, not {kind_of(steps)}", remedy
    if not steps:
        return "value", f"{STEPS} must not be empty", remedy
    return "value", f"{STEPS} must have at most {MOST_TASKS} entries, not {len(steps)}", "make several workflows of it"


def _chain(raw: JsonObject, steps: Mapping[str, JsonObject], faults: FaultList) -> list[str]:
    """The steps in the order in which they run, as far as that can be told."""
    first = raw.get(START)
    if first is None:
        faults.add(
            START, "missing", f"{START} is missing", f"name the step that comes first, such as {next(iter(steps))}"
        )
        return list(steps)
    chain: dict[str, None] = {}
    place: str = START
    following: JsonValue = first
    while following not in (None, ""):
        if not isinstance(following, str):
            faults.add(
                place, "type", f"this must be the id of a step, not {kind_of(following)}", "write the id as text"
            )
            return list(chain)
        if following not in steps:
            message = f"there is no step {following!r}{hint(following, steps)}"
            faults.add(place, "unknown_step", message, f"write a key of {STEPS}")
            return list(chain)
        if following in chain:
            _tell_cycle(place, [*chain], following, faults)
            return list(chain)
        chain[following] = None
        place, following = at(at(STEPS, following), NEXT), steps[following].get(NEXT)
    for key in steps:
        if key not in chain:
            message = f"the step {key} is never reached from {START} {first}"
            faults.add(at(STEPS, key), "unreachable", message, f"name it in {NEXT} of another step, or take it out")
    return list(chain)


def _tell_cycle(place: str, chain: list[str], again: str, faults: FaultList) -> None:
    around = [*chain[chain.index(again) :], again]
    shown = around if len(around) <= 12 else [*around[:6], "…", *around[-5:]]
    message = f"these steps follow each other in a circle: {' → '.join(shown)}"
    faults.add(place, "cycle", message, f"leave out {NEXT} in the step that is the last one")


def _ids(steps: Mapping[str, JsonObject]) -> dict[str, str]:
    """The id of each step's task: its own if that can be one, else one made from it."""
    taken = {key for key in steps if is_task_id(key)}
    counts: dict[str, int] = {}
    return {key: key if key in taken else numbered(task_id_from(key, "step"), taken, counts) for key in steps}


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes tasks of steps; notes where they came from and what is wrong with them."""

    steps: Mapping[str, JsonObject]
    ids: Mapping[str, str]
    faults: FaultList
    places: Places

    def task(self, key: str, number: int, before: Sequence[str]) -> JsonObject:
        """The task of a step, at this position of `tasks`; `before` has the steps that run before it."""
        step, original, path = self.steps[key], at(STEPS, key), f"tasks[{number}]"
        self._check_fields(key, step, original)
        self.places[path] = original
        self.places[f"{path}.config.agent"] = f"{original}.{AGENT}"
        self.places[f"{path}.config.input"] = f"{original}.{MAPPING}"
        made: JsonObject = {"id": self.ids[key]}
        if self.ids[key] != key and key.strip():
            made["name"] = key
        made |= {"type": "agent", "config": {"agent": self._agent(step, original), **self._input(key, step, before)}}
        if before:
            made["depends_on"] = [self.ids[before[-1]]]
            self.places[f"{path}.depends_on"] = at(at(STEPS, before[-1]), NEXT)
        return {**made, **{name: value for name, value in step.items() if name not in (*FIELDS, *SAID_OTHERWISE)}}

    def _check_fields(self, key: str, step: JsonObject, original: str) -> None:
        own = step.get("id")
        if own is not None and own != key:
            also = f"; {own} is the key of another step" if isinstance(own, str) and own in self.steps else ""
            message = f"the id {shown(own)} is not the key of the step, {key!r}{also}"
            self.faults.add(at(original, "id"), "mismatch", message, "make them the same")
        for name in SAID_OTHERWISE.keys() & step.keys():
            message = f"there is no field {name!r} in a step"
            self.faults.add(at(original, name), "unknown_field", message, SAID_OTHERWISE[name])

    def _agent(self, step: JsonObject, original: str) -> str:
        agent, place = step.get(AGENT), at(original, AGENT)
        if isinstance(agent, str) and agent.strip():
            return agent
        if agent is None:
            self.faults.add(place, "missing", f"{AGENT} is missing", "name the agent that the step calls")
        elif isinstance(agent, str):
            self.faults.add(place, "value", f"{AGENT} must not be blank", "name the agent that the step calls")
        else:
            self.faults.add(place, "type", f"{AGENT} must be text, not {kind_of(agent)}", "write the name of an agent")
        return FAULTY

    def _input(self, key: str, step: JsonObject, before: Sequence[str]) -> JsonObject:
        """The field `input` of the config, if the step maps anything."""
        mapped, place = step.get(MAPPING), at(at(STEPS, key), MAPPING)
        if mapped is None:
            return {}
        if not isinstance(mapped, dict):
            message = f"{MAPPING} must be a mapping, not {kind_of(mapped)}"
            self.faults.add(place, "type", message, "write {name: expression}")
            return {}
        names = StepNames(self.ids, before, key)
        made: JsonObject = {}
        for name, value in mapped.items():
            try:
                made[name] = value_of(value, names)
            except ExpressionFault as fault:
                code = "unknown_name" if isinstance(fault, UnknownStep) else "expression"
                self.faults.add(at(place, name), code, fault.placed, fault.remedy)
        return {"input": made}
