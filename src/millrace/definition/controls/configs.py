"""What the `config` of each type of control task takes. Descriptions and examples are shown to users."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from millrace.core.values import JsonObject
from millrace.definition.controls.fields import (
    Choice,
    Decision,
    EventKey,
    Items,
    Line,
    OneExpression,
    Sleep,
    Time,
)
from millrace.definition.fields import Part, Priority
from millrace.ports.event_patterns import Pattern, Patterns, TypePattern, Types
from millrace.ports.runner import ConfigFault

MOST_ITERATIONS = 10_000
LONGEST_MESSAGE = 10_000

ONLY_OF_EVENTS = ("key", "source", "subject")


class ConditionConfig(Part):
    if_: Decision = Field(alias="if", description="`then` runs if this is true, else `else`.")


class SwitchConfig(Part):
    value: Choice = Field(description="Its text is compared with the names of the cases.")


class GroupConfig(Part):
    """A group takes nothing but its tasks."""


class ForEachConfig(Part):
    items: Items = Field(description="The tasks run for each of these; they read it as `item`, its number as `index`.")
    concurrency: int = Field(default=100, ge=1, le=10_000, description="Iterations that may run at the same time.")
    key: OneExpression | None = Field(
        default=None,
        description="What an item is called in the views of a run, unique among the items; reads item and index.",
        examples=["{{ item.id }}"],
    )
    output: Any = Field(
        default=None,
        description="What an iteration comes to; reads item, index and the tasks of the loop. Without it, the output "
        "of the task listed last.",
        examples=["{{ tasks.insert.output }}"],
    )
    stop_on_failure: bool = Field(default=False, description="true: after a failure no further iteration begins.")


class WhileConfig(Part):
    condition: OneExpression = Field(
        description="Asked before each iteration, which begins if it is true; reads index, previous (what the "
        "iteration before came to, null before the first) and the tasks of the loop as the iteration before left them.",
        examples=["{{ index == 0 || previous.more }}"],
    )
    max_iterations: int = Field(
        default=1000, ge=1, le=MOST_ITERATIONS, description="After so many the loop fails if it would go on."
    )
    output: Any = Field(
        default=None,
        description="What an iteration comes to; reads index, previous and the tasks of the loop. Without it, the "
        "output of the task listed last.",
        examples=["{{ tasks.page.output.body }}"],
    )


class SubWorkflowConfig(Part):
    workflow: Line = Field(description="Id, name or slug of the workflow that is started.", examples=["load-orders"])
    version: Annotated[int, Field(ge=1)] | Line | None = Field(
        default=None, description="Number or tag; without it the one that an explicit start takes."
    )
    input: dict[str, Any] = Field(
        default_factory=dict, description="The input of its run.", examples=[{"day": "{{ input.day }}"}]
    )
    variables: dict[str, Any] = Field(default_factory=dict, description="Variables of its run that it overrides.")
    wait: bool = Field(default=True, description="false: the task is completed as soon as the run is started.")
    correlation_id: Line | None = Field(default=None, description="To find its run by.")
    priority: Priority | None = Field(default=None, description="Of its run among those that wait.")


class SleepConfig(Part):
    duration: Sleep = Field(description="How long nothing is done, at most 10 years.")


class UntilConfig(Part):
    time: Time = Field(description="Until when nothing is done; a time that has passed ends the wait at once.")


class WaitForEventConfig(Part):
    """An event (`type`), or a signal to the run (`signal`)."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["type"]}, {"required": ["signal"]}]})

    type: TypePattern | Types | None = Field(
        default=None,
        description="The type of the event, or several. `orders.*` is every type that begins with `orders.`, and `*` "
        "every type but those of Millrace itself.",
        examples=["orders.shipped"],
    )
    key: EventKey | None = Field(
        default=None, description="Only an event with this correlation key: its `correlationkey`, else its subject."
    )
    source: Pattern | Patterns | None = Field(
        default=None,
        description="Only events from this source, or from one of several. `*` stands for any text.",
        examples=["shops/*"],
    )
    subject: Pattern | Patterns | None = Field(
        default=None,
        description="Only events about this subject, or one of several. `*` stands for any text.",
        examples=["order/*"],
    )
    signal: Line | None = Field(default=None, description="The name of a signal to the run.", examples=["go_on"])
    filter: OneExpression | None = Field(
        default=None,
        description="What came counts only if this is true; reads `event` and what the task may read.",
        examples=["{{ event.data.total > 100 }}"],
    )

    @classmethod
    def certain_faults(cls, config: JsonObject) -> Iterable[ConfigFault]:
        """Meets `ports.runner.JudgesConfig`."""
        named = [name for name in ("type", "signal") if config.get(name) is not None]
        if not named:
            yield ConfigFault("type", "it is not said what is waited for", "name the `type` of an event, or a `signal`")
        elif len(named) == 2:
            yield ConfigFault("signal", "a task waits for an event or a signal, not for both", "take one of them out")
        elif named == ["signal"]:
            for name in ONLY_OF_EVENTS:
                if config.get(name) is not None:
                    yield ConfigFault(name, f"a signal has no {name}", f"take {name} out, or use `filter`")


class ApprovalConfig(Part):
    message: str = Field(
        min_length=1,
        max_length=LONGEST_MESSAGE,
        description="What is asked, for whoever decides.",
        examples=["Large day, publish?"],
    )
    form: dict[str, Any] | None = Field(
        default=None, description="JSON Schema of an object: what whoever decides may fill in."
    )
    default: Literal["approve", "reject"] | None = Field(
        default=None, description="What is decided when `timeout` is over; without it the task then times out."
    )

    @classmethod
    def certain_faults(cls, config: JsonObject) -> Iterable[ConfigFault]:
        """Meets `ports.runner.JudgesConfig`."""
        form = config.get("form")
        if isinstance(form, dict) and form.get("type") != "object":
            remedy = "write form: {type: object, properties: {…}}"
            yield ConfigFault("form", "what is filled in is an object, and this schema does not say so", remedy)


class SignalConfig(Part):
    run: Line = Field(description="The id of the run that is told.", examples=["{{ tasks.child.output.run_id }}"])
    name: Line = Field(description="The name that it waits for.", examples=["go_on"])
    data: Any = Field(default=None, description="What it is told: any JSON.")
