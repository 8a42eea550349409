"""What versions, differences, deployments and tasks look like, and what requests about them may say."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from millrace.api.schemas.texts import NO_NUL, NO_NUL_NOT_BLANK
from millrace.api.schemas.users import UserRef
from millrace.core.values import JsonObject

LONGEST_COMMENT = 2000

TASK_EXAMPLE: Final[JsonObject] = {
    "id": "note",
    "type": "log",
    "config": {"message": "{{ tasks.greeting.output }}"},
    "after": "greeting",
}
SAVE_OPTIONS: Final[JsonObject] = {
    "version": {"type": "integer", "minimum": 1, "description": "The number of the version that this changes."},
    "comment": {"type": "string", "maxLength": LONGEST_COMMENT, "description": "Kept with the new version."},
    "deploy": {"type": "boolean", "description": "false: the new version is not deployed."},
}
"""What a request says beside the definition or the task that it changes."""

TASK_OPTIONS: Final[JsonObject] = {
    "list": {"type": "string", "minLength": 1, "description": "Name of a list of tasks; by default `tasks`."},
    "index": {"type": "integer", "minimum": 0, "description": "Place in the list; by default its end."},
    "after": {"type": "string", "minLength": 1, "description": "Id or uid of the task that it is to follow."},
    **SAVE_OPTIONS,
}

Comment = Annotated[str, Field(max_length=LONGEST_COMMENT, pattern=NO_NUL)]
Tag = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL_NOT_BLANK)]
Number = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
NumberOrTag = Number | Tag


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class VersionBody(Body):
    """What a version is to be called; what is not given stays."""

    tag: Tag | None = Field(default=None, description="Names one version of the workflow.", examples=["1.0"])
    comment: Comment | None = None
    move: bool = Field(default=False, description="Take the tag from the version that has it, which is refused else.")


class RollbackBody(Body):
    version: NumberOrTag = Field(description="The number or tag of the version to go back to, or newest.")
    comment: Comment | None = Field(default=None, description="Kept with the new version.")
    deploy: bool = Field(default=True, description="false: the new version is not deployed.")


class DeployBody(Body):
    version: NumberOrTag | None = Field(default=None, description="A number, a tag or newest, which is the default.")
    comment: Comment | None = Field(default=None, description="Kept with the deployment.")


class VersionSummary(BaseModel):
    id: str
    number: int
    tag: str | None
    author: UserRef | None
    comment: str | None
    content_hash: str
    created_at: str


class VersionDetail(VersionSummary):
    definition: dict[str, Any]


class VersionPage(BaseModel):
    items: list[VersionSummary]
    next_cursor: str | None


class WorkflowName(BaseModel):
    id: str
    name: str


class FieldDifference(BaseModel):
    path: str = Field(examples=["config.url"])
    change: Literal["added", "removed", "changed", "moved"]
    old: Any = Field(default=None, description="Not there when the field was added.")
    new: Any = Field(default=None, description="Not there when the field was removed.")


class Standing(BaseModel):
    list: str
    index: int
    path: str = Field(examples=["tasks[2]"])


class TaskDifference(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str
    change: Literal["added", "removed", "changed", "moved"]
    moved: bool = Field(description="Stands elsewhere in relation to the others; a changed task may have moved, too.")
    before: Standing | None = Field(alias="from")
    after: Standing | None = Field(alias="to")
    fields: list[FieldDifference]
    task: dict[str, Any] | None = Field(default=None, description="A task that was added or removed.")


class Differences(BaseModel):
    identical: bool
    fields: list[FieldDifference] = Field(description="Of the workflow; of tasks they are at the task.")
    tasks: list[TaskDifference]


class DifferenceAnswer(Differences):
    model_config = ConfigDict(populate_by_name=True)

    workflow: WorkflowName
    old: VersionSummary = Field(alias="from")
    new: VersionSummary = Field(alias="to")


class Deployment(BaseModel):
    id: str
    workflow: WorkflowName
    version: int | None = Field(description="None when nothing is deployed any more.")
    action: Literal["deploy", "undeploy", "rollback"]
    outcome: Literal["succeeded", "failed"]
    message: str | None = Field(description="The comment of who did it, or why it failed.")
    deployed_by: UserRef | None
    at: str


class DeploymentPage(BaseModel):
    items: list[Deployment]
    next_cursor: str | None


class WorkflowState(WorkflowName):
    status: str


class LiveCanary(BaseModel):
    version: int
    share: float = Field(description="Percent of the triggered runs.")
    since: str


class DeployedAnswer(BaseModel):
    workflow: WorkflowState
    deployed: bool
    version: VersionSummary | None
    newest_version: int
    live: bool = Field(description="Whether its triggers may fire: a version is deployed and the workflow is active.")
    deployment: Deployment | None = Field(description="The last one that did not fail.")
    canary: LiveCanary | None = Field(description="The version that is tried out beside it.")


class WorkflowOfTask(WorkflowName):
    version: int


class TaskView(BaseModel):
    uid: str = Field(description="Stays while the id of the task does, and when the task is changed here.")
    id: str
    list: str = Field(examples=["tasks", "finally", "load.tasks"])
    index: int
    workflow: WorkflowOfTask
    task: dict[str, Any] = Field(description="The task in the canonical form.")


class TaskPage(BaseModel):
    items: list[TaskView]
    next_cursor: None
