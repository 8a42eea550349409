"""The canonical definition, as a model: which fields there are, what they take, and what they mean.

Everything here is shown to users: descriptions and limits are those of the published JSON Schema. What only the whole
definition can tell (names, graph, expressions, the config of a task type) is checked in `validation`.
"""

from typing import Any, Literal, TypeAlias, get_args

from pydantic import Field

from millrace.definition.fields import (
    Condition,
    Delay,
    Join,
    Key,
    Kind,
    Limit,
    Name,
    Part,
    Period,
    Priority,
    Queue,
    RedactedPath,
    TaskId,
    TriggerId,
    WhenFull,
)

MOST_TASKS = 10_000
"""In a whole definition, those within others included."""

TriggerType: TypeAlias = Literal["cron", "interval", "once", "manual", "webhook", "event", "email", "github"]
TRIGGER_TYPES: frozenset[str] = frozenset(get_args(TriggerType))
"""Those that a definition may name; a release may fire fewer."""
START_TYPES = TRIGGER_TYPES | {"sub_workflow", "test"}
"""What a run may have been started by."""


class Retry(Part):
    """When a failed attempt is followed by another."""

    max_attempts: int = Field(default=1, ge=1, le=1000, description="How often the task is tried, the first included.")
    delay: Delay = Field(default="1s", description="Before the second attempt.")
    multiplier: float = Field(default=2, ge=1, le=100, description="Each further delay is so much longer.")
    max_delay: Delay = Field(default="60s", description="No delay is longer.")
    jitter: float = Field(default=0, ge=0, le=1, description="Share by which a delay is shortened or lengthened.")
    on: list[Kind] | None = Field(
        default=None, description="Only failures of these kinds are retried; without it error and timeout are."
    )
    on_crash: bool = Field(
        default=True, description="false: not started again when its worker was lost, so it runs at most once."
    )


class TaskConcurrency(Part):
    key: Key = Field(description="Tasks with the same key share the limit.", examples=["warehouse"])
    limit: int = Field(ge=1, le=100_000, description="Attempts that may run at the same time.")


class Task(Part):
    """One task: what is common to all types, and under `config` what its type takes."""

    id: TaskId | None = Field(default=None, description="Unique in the whole definition; made from `name` if absent.")
    name: Name | None = Field(default=None, description="For people.")
    type: str = Field(min_length=1, max_length=64, description="A task type of this installation.", examples=["http"])
    config: dict[str, Any] = Field(default_factory=dict, description="What the task type takes.")
    depends_on: list[str] | None = Field(
        default=None,
        description="Ids of tasks of the same list that go before. Without it the task listed before goes before; "
        "an empty list starts at once.",
    )
    join: Join = Field(default="all_success", description="How the tasks it depends on must have ended.")
    if_: Condition = Field(default=None, alias="if", description="Skipped when this is false.")
    retry: Retry | None = Field(default=None, description="Replaces `defaults.retry`, field by field.")
    timeout: Limit | None = Field(
        default=None, description="Limit of one attempt; of a control task, limit of all that it does."
    )
    total_timeout: Limit | None = Field(default=None, description="Limit over all attempts and delays.")
    queue_timeout: Limit | None = Field(
        default=None, description="Limit of each wait for a worker; a task that waits longer fails with queue_timeout."
    )
    queue: Queue | None = Field(default=None, description="Workers that serve this queue run the task.")
    priority: Priority | None = Field(default=None, description="Among tasks that wait; without it that of the run.")
    concurrency: TaskConcurrency | None = Field(
        default=None, description="How many tasks with the same key may run at the same time, in all workflows."
    )
    allow_failure: bool = Field(default=False, description="Its failure counts as success.")
    tasks: list["Task"] | None = Field(
        default=None, description="The tasks of a group or loop: one after another, in a `parallel` all at once."
    )
    then: list["Task"] | None = Field(
        default=None, description="What runs if the condition is true, or if what was waited for came."
    )
    else_: list["Task"] | None = Field(
        default=None, alias="else", description="What runs if the condition is false, or if it did not come."
    )
    cases: dict[str, list["Task"]] | None = Field(
        default=None,
        description="What a `switch` runs, by the text of its value.",
        examples=[{"eu": [{"id": "vat", "type": "noop"}]}],
    )
    default: list["Task"] | None = Field(
        default=None, description="What a `switch` runs when no case has the name of its value."
    )


class MainTask(Task):
    """A task of the main part."""

    on_rollback: list[Task] = Field(
        default_factory=list,
        max_length=100,
        description="What undoes it. Run if it had completed and the run failed or was cancelled; what completed last "
        "is undone first.",
    )


class Trigger(Part):
    """What starts runs. Those of types that are not supported yet are kept, and start nothing."""

    id: TriggerId | None = Field(default=None, description="Made from the type if absent.")
    type: TriggerType = Field(description="What kind of thing starts runs.")
    enabled: bool = Field(default=True, description="false: starts nothing.")
    if_: Condition = Field(default=None, alias="if", description="Starts no run when this is false.")
    config: dict[str, Any] = Field(default_factory=dict, description="What the trigger type takes.")
    input: dict[str, Any] = Field(default_factory=dict, description="The input of the runs it starts.")


class Concurrency(Part):
    limit: int = Field(ge=1, le=100_000, description="Runs of the workflow that may be under way at the same time.")
    key: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="An expression over input, variables and trigger: the limit then holds for each of its values.",
        examples=["{{ input.day }}"],
    )
    when_full: WhenFull = Field(
        default="queue",
        description="What becomes of a further run: `queue` waits, `skip` is not started, `cancel_oldest` and "
        "`cancel_newest` take the place of the oldest or newest run.",
    )


class RateLimit(Part):
    """At most `limit` runs are admitted in any `per`; further ones wait."""

    limit: int = Field(ge=1, le=100_000, description="Runs in each period.")
    per: Limit = Field(description="The period.", examples=["1m"])
    key: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="An expression over input, variables and trigger: the limit then holds for each of its values.",
    )


class Defaults(Part):
    """For every task that does not say otherwise."""

    retry: Retry | None = Field(default=None, description="When a failed attempt is followed by another.")
    timeout: Limit | None = Field(default=None, description="Limit of one attempt.")
    queue: Queue | None = Field(default=None, description="Workers that serve this queue run the tasks.")


class Retention(Part):
    """How long after its end data of a run is kept. What is not given here is as the settings of Millrace say."""

    payloads: Period | None = Field(
        default=None, description="What its tasks took and answered, and its logs; or `never` to delete them."
    )
    runs: Period | None = Field(
        default=None, description="The run itself with all that belongs to it; or `never` to delete it."
    )
    archive: bool | None = Field(
        default=None, description="Whether a run is written to the archive before it is deleted."
    )


class Canonical(Part):
    """A workflow."""

    name: Name = Field(description="Any text; unique among the workflows that are not deleted.")
    description: str | None = Field(default=None, max_length=10_000, description="For people.")
    category: str | None = Field(default=None, max_length=255, description="To find workflows by.")
    labels: dict[str, str] = Field(default_factory=dict, description="Names and values to find workflows by.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Any JSON, for your own use.")
    owner: str | None = Field(default=None, max_length=255, description="Who answers for the workflow.")
    version_tag: str | None = Field(default=None, min_length=1, max_length=64, description="A name for the version.")
    input: dict[str, Any] | None = Field(default=None, description="JSON Schema of the input of a run.")
    variables: dict[str, Any] = Field(
        default_factory=dict,
        description="Defaults that a run may override; it is refused variables that are not named here.",
    )
    concurrency: Concurrency | None = Field(default=None, description="How many runs may be under way at once.")
    rate_limit: RateLimit | None = Field(default=None, description="How many runs may begin in a period.")
    timeout: Limit | None = Field(default=None, description="Limit of the main part of a run.")
    priority: Priority | None = Field(default=None, description="Of its runs among those that wait; higher goes first.")
    queue: Queue | None = Field(default=None, description="Workers that serve this queue run its tasks.")
    retention: Retention | None = Field(default=None, description="How long the data of its runs is kept.")
    defaults: Defaults | None = Field(default=None, description="For every task that does not say otherwise.")
    triggers: list[Trigger] = Field(default_factory=list, max_length=100, description="What starts runs.")
    tasks: list[MainTask] = Field(
        min_length=1, max_length=MOST_TASKS, description="What is done, one after another: at least one task."
    )
    on_failure: list[Task] = Field(default_factory=list, max_length=100, description="Run when the main part failed.")
    finally_: list[Task] = Field(
        default_factory=list, max_length=100, alias="finally", description="Run at the end, whatever happened."
    )
    output: Any = Field(default=None, description="The output of a run; its strings may hold expressions.")
    redact: list[RedactedPath] = Field(
        default_factory=list,
        max_length=100,
        description="Paths of what is not kept: `$.input.card`, `$.tasks.charge.output.number`. Nor do tasks see it.",
    )


TASK_LISTS = {"tasks": "tasks", "on_failure": "on_failure", "finally": "finally_"}

NESTED = {"tasks": "tasks", "then": "then", "else": "else_", "cases": "cases", "default": "default"}
"""Where the tasks within a task stand, and the attribute of the model that holds them."""

CASES = "cases"
"""The one of these that is a mapping of lists."""

ON_ROLLBACK = "on_rollback"
"""Where those stand that undo a task of the main part."""
