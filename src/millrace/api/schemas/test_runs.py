"""What a test of a workflow may ask for, and what a dry run answers, with examples for the OpenAPI document."""

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from millrace.api.schemas.runs import TakesInput, Waiting
from millrace.api.schemas.texts import NO_NUL
from millrace.api.schemas.versions import NumberOrTag
from millrace.definition.mocking import Asked
from millrace.definition.names import LONGEST_TASK_ID

MOST_TIMES: Final = 1000
LONGEST_MESSAGE: Final = 10_000

TaskName = Annotated[str, Field(min_length=1, max_length=LONGEST_TASK_ID, pattern=NO_NUL)]
GIVEN: Final = ("item", "index", "previous")


class MockedFailure(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    message: str = Field(min_length=1, max_length=LONGEST_MESSAGE, pattern=NO_NUL)
    kind: Literal[
        "error", "timeout", "queue_timeout", "refused", "expression", "invalid_input", "invalid_output", "rejected",
        "iterations",
    ] = "error"  # fmt: skip


class MockBody(BaseModel):
    """What a task comes to: `output`, or `fail`; with `times` first the one and then the other."""

    model_config = ConfigDict(extra="forbid", strict=True)

    output: Any = Field(default=None, description="What it answers: any JSON.")
    fail: MockedFailure | None = Field(default=None, description="It fails with this.")
    times: int | None = Field(
        default=None, ge=1, le=MOST_TIMES, description="Only so many attempts fail; then it answers `output`."
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, given: Any) -> Any:
        """An output may be null; of the others null says nothing."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None or name not in ("fail", "times")}


class Tested(TakesInput):
    """What test runs and dry runs are told."""

    input: dict[str, Any] = Field(default_factory=dict, validation_alias=AliasChoices("input", "input_data"))
    variables: dict[str, Any] = Field(default_factory=dict, description="Override the definition's variables.")
    version: NumberOrTag | None = Field(
        default=None, description="A number, a tag or newest. Default: deployed, else newest."
    )
    mocks: dict[TaskName, MockBody] = Field(default_factory=dict, description="Tasks that are not done, by id.")


class TestBody(Tested, Waiting):
    """A run of a workflow in which chosen tasks are not done."""

    only: TaskName | None = Field(
        default=None, description="Run this task alone; `mocks` then say what it reads of other tasks."
    )
    item: Any = Field(default=None, description="For a task of a foreach that runs alone: its item.")
    index: int | None = Field(default=None, ge=0, description="The number of its iteration; 0 without it.")
    previous: Any = Field(default=None, description="For a task of a while: what the iteration before came to.")
    virtual_time: bool = Field(default=False, description="Sleeps, and delays between attempts, are over at once.")
    others: Literal["run", "mock"] = Field(
        default="run", description="`mock`: tasks that no mock names complete at once with the output null."
    )

    def asked(self) -> Asked:
        given = {name for name in GIVEN if name in self.model_fields_set}
        if self.index is None:
            given -= {"index"}
        return Asked(
            mocks=mocks_of(self),
            only=self.only,
            names={name: getattr(self, name) for name in GIVEN if name in given},
            virtual_time=self.virtual_time,
            mock_others=self.others == "mock",
        )


class DryRunBody(Tested):
    """What a run would do, as far as it can be told without doing it."""

    iterations: int = Field(default=3, ge=1, le=100, description="Of each foreach, so many are shown.")

    def asked(self) -> Asked:
        return Asked(mocks=mocks_of(self))


def mocks_of(body: Tested) -> dict[str, Any]:
    """The mocks with what was said of each, and nothing else."""
    return {name: mock.model_dump(exclude_unset=True) for name, mock in body.mocks.items()}


TEST_EXAMPLE: Final[dict[str, Any]] = {
    "input": {"day": "2026-03-29"},
    "mocks": {
        "extract": {"output": {"status": 200, "body": [{"id": 1}]}},
        "load": {"fail": {"message": "connection refused"}, "times": 2, "output": {"rows": 1}},
    },
    "virtual_time": True,
    "wait": True,
}

DRY_RUN_EXAMPLE: Final[dict[str, Any]] = {
    "input": {"day": "2026-03-29"},
    "mocks": {"extract": {"output": {"body": [{"id": 1}]}}},
}


class DryTask(BaseModel):
    task: str = Field(description="The id of the task.")
    path: str
    type: str
    status: Literal["runs", "skipped", "unknown", "fails"] = Field(
        description="What becomes of it if all that is not mocked goes well; unknown: it depends on what is not known."
    )
    why: str | None = Field(description="Why it is skipped, fails, or is not known.")
    mocked: bool
    input: Any = Field(description="Its config, rendered as far as it is known, with secrets as ***.")
    unrendered: dict[str, str] = Field(description="Places of the config that cannot be told yet, and why.")
    output: Any = Field(default=None, description="What it comes to, if that is known; else left out.")
    branch: str | None = Field(description="Of a control task: the block that runs, if that is known.")
    items: int | None = Field(description="Of a foreach: how many items it has, if that is known.")
    blocks: dict[str, list["DryTask"]] = Field(
        description="What stands in it; of a foreach the first iterations, `[0]`, `[1]`, …, of a while the first."
    )


class DryWorkflow(BaseModel):
    id: str
    name: str


class DryRunView(BaseModel):
    workflow: DryWorkflow
    version: int
    input: Any = Field(description="With the defaults of the schema.")
    variables: Any
    outcome: Literal["completed", "failed", "unknown"] = Field(
        description="How the run ends if all that is not mocked goes well."
    )
    why: str | None = Field(description="What fails, if anything is known to.")
    tasks: list[DryTask]
    on_failure: list[DryTask]
    finally_: list[DryTask] = Field(alias="finally")
    output: Any = Field(description="The run's, rendered as far as it is known.")
    unrendered: dict[str, str] = Field(description="Places of the output that cannot be told yet, and why.")
    warnings: list[str] = Field(description="What a task would miss: secrets that are not there.")
