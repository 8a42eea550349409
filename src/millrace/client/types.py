"""What the API answers, as types. Printed by `scripts/print-client` from the OpenAPI document.

They say how JSON values look; at run time they are plain dictionaries. Times are ISO 8601 text in UTC.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class AgentCheck(TypedDict):
    id: str
    # It answered with a status from 200 to 299.
    healthy: bool
    # Somebody asked for this look; all others are due by themselves.
    asked: bool
    http_status: int | None
    latency_ms: int
    # What was wrong.
    message: str | None
    at: str


class AgentCircuit(TypedDict):
    # `open`: tasks that call it fail at once; `half_open`: the next call is tried, and decides.
    state: Literal["closed", "open", "half_open"]
    # Failed calls in a row.
    failures: int
    open_until: str | None


class AgentDeleted(TypedDict):
    id: str
    name: str
    # Deployed workflows that call it and will fail without it.
    used_by: list[UserOfIt]


class AgentDetail(TypedDict):
    id: str
    name: str
    url: str
    description: str | None
    auth_type: Literal["none", "bearer", "apikey"]
    # With *** in place of what is secret.
    auth_config: dict[str, Any]
    timeout_ms: int
    retry_config: AgentRetryView
    max_concurrent: int | None
    health_path: str
    status: Literal["active", "inactive", "deleted"]
    health: AgentHealth
    circuit: AgentCircuit
    # Counts its changes; also its ETag.
    version: int
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str
    # Workflows whose deployed version calls it.
    used_by: list[UserOfIt]


class AgentHealth(TypedDict):
    # As it was when it was last looked at.
    status: Literal["unknown", "healthy", "unhealthy"]
    # What was wrong.
    message: str | None
    latency_ms: int | None
    checked_at: str | None


class AgentHealthPage(TypedDict):
    agent: AgentRef
    health: AgentHealth
    circuit: AgentCircuit
    # The newest first; the last 1,000 are kept.
    items: list[AgentCheck]
    next_cursor: str | None


class AgentPage(TypedDict):
    items: list[AgentView]
    next_cursor: str | None


class AgentRef(TypedDict):
    id: str
    name: str


class AgentRetryView(TypedDict):
    max_retries: int
    # Seconds.
    delay: float
    # Seconds.
    max_delay: float
    multiplier: float


class AgentView(TypedDict):
    id: str
    name: str
    url: str
    description: str | None
    auth_type: Literal["none", "bearer", "apikey"]
    # With *** in place of what is secret.
    auth_config: dict[str, Any]
    timeout_ms: int
    retry_config: AgentRetryView
    max_concurrent: int | None
    health_path: str
    status: Literal["active", "inactive", "deleted"]
    health: AgentHealth
    circuit: AgentCircuit
    # Counts its changes; also its ETag.
    version: int
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str


class ApplyAnswer(TypedDict):
    version: int
    status: str
    deployed_version: int | None
    # What it was applied from last, if it was told.
    source: str | None
    # `adopted`: nothing changed but that it belongs to `source` now.
    outcome: Literal["created", "updated", "adopted", "unchanged"]
    name: str
    before: StateOfWorkflow | None
    # Without it the workflow is new.
    changes: Differences | None
    warnings: list[str]


class ApprovalPage(TypedDict):
    items: list[ApprovalView]
    next_cursor: str | None


class ApprovalView(TypedDict):
    """A task that waits for a decision."""

    message: str
    # JSON Schema of what whoever decides may fill in.
    form: dict[str, Any] | None
    # What is decided when its time is over; null: then the task has timed out.
    default: Literal["approve", "reject"] | None
    since: str
    # When its time is over; null if it may wait for ever.
    until: str | None
    run_id: str
    path: str
    workflow: WorkflowOfApproval


class ArchivePage(TypedDict):
    items: list[ArchiveView]
    next_cursor: str | None


class ArchiveView(TypedDict):
    id: str
    # Runs with their retries and sub-runs, each family counted once.
    families: int
    runs: int
    # The oldest run in it.
    first_run: ArchivedId
    # The newest run in it.
    last_run: ArchivedId
    # Where it is in the object store.
    object: str
    # Bytes, compressed.
    size: int
    sha256: str
    created_at: str


class ArchivedId(TypedDict):
    id: str
    # When the run was made, as its id says.
    at: str


class ArchivedRun(TypedDict):
    """A run as it was when it was archived."""

    id: str
    workflow: WorkflowOfRun
    status: str
    trigger_type: str
    trigger_id: str | None
    triggered_by: UserRef | None
    input: Any
    variables: Any
    output: Any
    error: FailureView | None
    # What a test run tests; null for other runs, and in lists.
    test: TestOfRun | None
    correlation_id: str | None
    priority: int
    # The run whose sub-workflow it is.
    parent: str | None
    # The task there that waits for it.
    parent_path: str | None
    retry_of: str | None
    # The first run of its family: what was retried and rerun belongs together.
    root: str
    # Of a retry or a rerun from a task: what was done in the run it repeats and is done again all the same, and why;
    # the first 100. Empty in lists.
    done_again: list[DoneAgain]
    # Why it does not go on at once; in lists the first reason only.
    waiting_for: list[WaitingFor]
    run_at: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancelled_at: str | None
    # Who asked for the end; null where no person did.
    cancelled_by: UserRef | None
    # Why it was to end, as far as somebody said so; null in lists.
    cancel_reason: str | None
    # When retention deleted the logs of the run, and what its tasks took and answered.
    payloads_deleted_at: str | None
    # In lists: payloads too large for one; the single run has them.
    omitted: NotRequired[list[str]]
    # What its trigger gave it.
    trigger_data: Any
    archived_at: str
    # The id of the archive that it is in.
    archive: str
    # Values that could not be read any more when it was archived, each with why.
    lost: NotRequired[dict[str, str]]


class ArtifactPage(TypedDict):
    items: list[ArtifactView]
    next_cursor: str | None


class ArtifactReference(TypedDict):
    """How a run's input or a task's config names a file; tasks answer it, too."""

    artifact: str
    name: str
    media_type: str
    size: int
    sha256: str


class ArtifactView(TypedDict):
    id: str
    name: str
    media_type: str
    # Bytes.
    size: int
    sha256: str
    # The run whose task wrote it; null for an upload.
    run_id: str | None
    task: str | None
    attempt: int | None
    # The user who sent it.
    created_by: UserRef | None
    created_at: str
    # When it is deleted; null is never.
    expires_at: str | None
    reference: ArtifactReference


class AttemptView(TypedDict):
    number: int
    scheduled_at: str | None
    available_at: str | None
    started_at: str | None
    finished_at: str | None
    outcome: str | None
    error: FailureView | None
    worker: str | None


class AuditActor(TypedDict):
    # Of the user; null for who has not logged in, and for Millrace itself.
    id: str | None
    # What the user was called at that time, or erased.
    name: str


class AuditEntry(TypedDict):
    id: str
    at: str
    actor: AuditActor
    # The API key or the login that proved it.
    credential_id: str | None
    action: str
    entity: str
    entity_id: str | None
    # What it was called at that time, or erased.
    entity_name: str | None
    # The fields that changed, as they were. Secrets are in neither.
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    # Where the request came from.
    address: str | None
    request_id: str | None
    # The place in the chain; null until it is sealed, and for starts of runs.
    seq: int | None
    hash: str | None


class AuditFault(TypedDict):
    # Its place in the chain.
    seq: int
    id: str | None
    # `erased`: not by Millrace. `anchor`: where the chain begins was changed. `key`: the key that sealed or erased it
    # is not here.
    how: Literal["changed", "missing", "inserted", "erased", "anchor", "key"]
    message: str


class AuditPage(TypedDict):
    items: list[AuditEntry]
    next_cursor: str | None


class AuditVerdict(TypedDict):
    # Whether the chain holds, and has the head that was asked for.
    ok: bool
    # Rows that are as they were sealed.
    checked: int
    # Those of them of which something personal was erased.
    erased: int
    # How far the chain holds. Note it elsewhere, to have it looked for later.
    head: str | None
    # The place of the last row that retention has deleted.
    begins_after: int
    # Rows that were written a moment ago and have no seal yet.
    unsealed: int
    broken: AuditFault | None
    # Whether the head that was asked for is in the chain; null if none was, or it is older than that.
    head_found: bool | None


class BackfillPage(TypedDict):
    items: list[BackfillView]
    next_cursor: str | None


class BackfillPreview(TypedDict):
    dry_run: Literal[True]
    # Due times of the range.
    total: int
    # Of them those that have a run already, for which none would be started.
    fired_before: int
    first: BackfilledTime
    last: BackfilledTime


BackfillView = TypedDict(
    "BackfillView",
    {
        "id": "str",
        "trigger": "TriggerOfBackfill",
        "workflow": "WorkflowOfBackfill",
        "from": "str",
        "until": "str",
        "order": "Literal['in_order', 'parallel']",
        "max_parallel": "int",
        "again": "bool",
        "stop_on_failure": "bool",
        "status": "Literal['running', 'paused', 'completed', 'cancelled', 'failed']",
        # Why it ended before its time.
        "reason": "str | None",
        # Why it starts nothing now, though it was not paused: `trigger_disabled`, `workflow_paused` (or another
        # status), `workflow_not_deployed`. It goes on by itself.
        "rests_because": "str | None",
        # Due times of the range.
        "total": "int",
        # Due times about which nothing is decided yet.
        "left": "int",
        # Due times that had a run already.
        "fired_before": "int",
        # Runs it started.
        "started": "int",
        # Due times at which the trigger's `if` is false, or the limit had no room.
        "skipped": "int",
        # Due times for which no run could be started; the trigger's firings say why.
        "refused": "int",
        # Of the runs it started those that completed.
        "completed": "int",
        # Of the runs it started those that failed or were cancelled.
        "failed": "int",
        # The runs that have not been seen to finish.
        "under_way": "list[str]",
        "created_by": "UserRef | None",
        "created_at": "str",
        "finished_at": "str | None",
    },
)


class BackfilledTime(TypedDict):
    due_at: str
    # The same, as clocks in the trigger's zone show it.
    local: str


class BulkFilter(TypedDict):
    """Which runs are meant: all conditions hold. `{}` means every run, and is taken with `all: true` only."""

    # Id, name or slug of a workflow; of a deleted one its id, but not to retry.
    workflow: NotRequired[str | None]
    status: NotRequired[list[Literal["pending", "running", "waiting", "paused", "cancelling", "failed", "cancelled"]]]
    trigger_type: NotRequired[str | None]
    correlation_id: NotRequired[str | None]
    created_after: NotRequired[str | None]
    created_before: NotRequired[str | None]
    labels: NotRequired[dict[str, str]]


class Canary(TypedDict):
    version: int
    # Percent of the triggered runs.
    share: float
    since: str
    id: str
    workflow: WorkflowName
    # The version that was deployed when it began, and takes the other runs.
    stable: int
    started_by: UserRef | None
    # How it ended; null while it is live. Replaced: another version was deployed, or is the canary.
    outcome: Literal["promoted", "stopped", "replaced"] | None
    ended_at: str | None
    ended_by: UserRef | None


class CanaryComparison(TypedDict):
    # So many runs of the workflow were looked at, of any origin: all since the canary began and until it ended, but at
    # most the newest 20,000.
    looked_at: int
    # Whether that were all that are kept.
    complete: bool
    stable: CanaryOutcomes
    canary: CanaryOutcomes


class CanaryDetail(TypedDict):
    version: int
    # Percent of the triggered runs.
    share: float
    since: str
    id: str
    workflow: WorkflowName
    # The version that was deployed when it began, and takes the other runs.
    stable: int
    started_by: UserRef | None
    # How it ended; null while it is live. Replaced: another version was deployed, or is the canary.
    outcome: Literal["promoted", "stopped", "replaced"] | None
    ended_at: str | None
    ended_by: UserRef | None
    # What became of the triggered runs, side by side.
    outcomes: CanaryComparison


class CanaryDuration(TypedDict):
    p50: float
    p95: float


class CanaryFailure(TypedDict):
    run_id: str
    message: str | None


class CanaryOutcomes(TypedDict):
    version: int
    # Triggered runs of this version; repetitions do not count.
    total: int
    completed: int
    failed: int
    cancelled: int
    unfinished: int
    # The part of those completed or failed that failed, from 0 to 1; null before there is one.
    failure_rate: float | None
    # From the start to the end of the runs that have finished; null before there is one.
    duration_ms: CanaryDuration | None
    last_failure: CanaryFailure | None


class CanaryPage(TypedDict):
    items: list[Canary]
    next_cursor: str | None


class CancelAnswer(TypedDict):
    id: str
    cancelling: bool


class ConnectionDetail(TypedDict):
    name: str
    type: str
    description: str | None
    # With *** in place of what is secret.
    config: dict[str, Any]
    # Those that may use it; null: all.
    workflows: list[str] | None
    version: int
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str
    used_by: list[UserOfIt]


class ConnectionPage(TypedDict):
    items: list[ConnectionView]
    next_cursor: str | None


class ConnectionTested(TypedDict):
    ok: bool
    message: str
    duration_ms: int


class ConnectionView(TypedDict):
    name: str
    type: str
    description: str | None
    # With *** in place of what is secret.
    config: dict[str, Any]
    # Those that may use it; null: all.
    workflows: list[str] | None
    version: int
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str


class CronTriggerConfigCatchUpAll(TypedDict):
    """Make up for every firing that was missed."""

    # The only policy with a limit.
    policy: Literal["all"]
    # The most firings that are made up for.
    limit: NotRequired[int]


class CronTriggerConfigDst(TypedDict):
    """What becomes of an appointment when clocks are changed. Holds where the hour is written as numbers."""

    # A time that no clock shows: `shift` fires at the first instant after the gap, `skip` not at all.
    gap: NotRequired[Literal["shift", "skip"]]
    # A time shown twice: fire the first time, the last, or both.
    overlap: NotRequired[Literal["first", "last", "both"]]


class DecisionAnswer(TypedDict):
    run_id: str
    path: str
    approved: bool


class Deleted(TypedDict):
    name: str
    # Deployed workflows that name it and will fail without it.
    used_by: list[UserOfIt]


class DeletedWorkflow(TypedDict):
    # Runs that were to start later.
    cancelled_runs: int


class DeployedAnswer(TypedDict):
    workflow: WorkflowState
    deployed: bool
    version: VersionSummary | None
    newest_version: int
    # Whether its triggers may fire: a version is deployed and the workflow is active.
    live: bool
    # The last one that did not fail.
    deployment: Deployment | None
    # The version that is tried out beside it.
    canary: LiveCanary | None


class Deployment(TypedDict):
    id: str
    workflow: WorkflowName
    # None when nothing is deployed any more.
    version: int | None
    action: Literal["deploy", "undeploy", "rollback"]
    outcome: Literal["succeeded", "failed"]
    # The comment of who did it, or why it failed.
    message: str | None
    deployed_by: UserRef | None
    at: str


class DeploymentPage(TypedDict):
    items: list[Deployment]
    next_cursor: str | None


DifferenceAnswer = TypedDict(
    "DifferenceAnswer",
    {
        "identical": "bool",
        # Of the workflow; of tasks they are at the task.
        "fields": "list[FieldDifference]",
        "tasks": "list[TaskDifference]",
        "workflow": "WorkflowName",
        "from": "VersionSummary",
        "to": "VersionSummary",
    },
)


class Differences(TypedDict):
    identical: bool
    # Of the workflow; of tasks they are at the task.
    fields: list[FieldDifference]
    tasks: list[TaskDifference]


class DoctorProblem(TypedDict):
    code: str
    run_id: str | None
    message: str
    remedy: str


class DoctorReport(TypedDict):
    checks: int
    problems: list[DoctorProblem]
    # What is not as it should be, but does no harm.
    warnings: list[DoctorProblem]


class DoneAgain(TypedDict):
    task: str
    reason: str


DryRunView = TypedDict(
    "DryRunView",
    {
        "workflow": "DryWorkflow",
        "version": "int",
        # With the defaults of the schema.
        "input": "Any",
        "variables": "Any",
        # How the run ends if all that is not mocked goes well.
        "outcome": "Literal['completed', 'failed', 'unknown']",
        # What fails, if anything is known to.
        "why": "str | None",
        "tasks": "list[DryTask]",
        "on_failure": "list[DryTask]",
        "finally": "list[DryTask]",
        # The run's, rendered as far as it is known.
        "output": "Any",
        # Places of the output that cannot be told yet, and why.
        "unrendered": "dict[str, str]",
        # What a task would miss: secrets that are not there.
        "warnings": "list[str]",
    },
)


class DryTask(TypedDict):
    # The id of the task.
    task: str
    path: str
    type: str
    # What becomes of it if all that is not mocked goes well; unknown: it depends on what is not known.
    status: Literal["runs", "skipped", "unknown", "fails"]
    # Why it is skipped, fails, or is not known.
    why: str | None
    mocked: bool
    # Its config, rendered as far as it is known, with secrets as ***.
    input: Any
    # Places of the config that cannot be told yet, and why.
    unrendered: dict[str, str]
    # What it comes to, if that is known; else left out.
    output: NotRequired[Any]
    # Of a control task: the block that runs, if that is known.
    branch: str | None
    # Of a foreach: how many items it has, if that is known.
    items: int | None
    # What stands in it; of a foreach the first iterations, `[0]`, `[1]`, …, of a while the first.
    blocks: dict[str, list[DryTask]]


class DryWorkflow(TypedDict):
    id: str
    name: str


class DueOfWorkflow(TypedDict):
    workflow_id: str
    name: str
    kept: Periods
    families: int
    runs: int
    # Of these runs those that would be archived before.
    archived: int
    payloads: int


class Ended(TypedDict):
    # Logins that have ended.
    ended: int


class EventPage(TypedDict):
    items: list[EventView]
    next_cursor: str | None


class EventView(TypedDict):
    """Something that happened, as it was told. An event never changes."""

    id: str
    type: str
    # Who told it.
    source: str
    # What it happened to.
    subject: str | None
    data: Any
    # The run that published it.
    run_id: str | None
    # The task that published it.
    task: str | None
    # When it was stored.
    at: str
    # The id that its source gave it.
    external_id: str | None
    # When it happened, by its source.
    occurred_at: str | None
    # Further attributes of a CloudEvent.
    extensions: dict[str, Any]


class FailureView(TypedDict):
    kind: str
    message: str
    details: NotRequired[dict[str, Any] | None]


class FaultView(TypedDict):
    # The place in what was sent.
    path: str
    code: str
    message: str
    remedy: str


class FieldDifference(TypedDict):
    path: str
    change: Literal["added", "removed", "changed", "moved"]
    # Not there when the field was added.
    old: NotRequired[Any]
    # Not there when the field was removed.
    new: NotRequired[Any]


class FiringPage(TypedDict):
    items: list[FiringView]
    next_cursor: str | None


class FiringView(TypedDict):
    id: str
    trigger_id: str
    workflow_id: str
    # `started`, `skipped`, `refused`, `missed` or `failed`.
    decision: str
    # Why no run was started.
    reason: str | None
    run_id: str | None
    due_at: str | None
    # Of `missed`: the last of the due times it stands for.
    due_until: str | None
    # Of `missed`: how many due times it stands for.
    count: int
    start_key: str
    at: str


class GrantedUser(TypedDict):
    """Who was given something."""

    id: str
    name: str
    email: str | None
    role: Literal["admin", "developer", "operator", "viewer"]
    access: Literal["all", "granted"]


class GrantedWorkflow(TypedDict):
    id: str
    name: str


class GrantsOfUser(TypedDict):
    user: GrantedUser
    grants: list[Literal["view", "run", "edit", "approve"]]


class GrantsOfUserPage(TypedDict):
    items: list[GrantsOfUser]
    next_cursor: str | None


class GrantsOnWorkflow(TypedDict):
    workflow: GrantedWorkflow
    grants: list[Literal["view", "run", "edit", "approve"]]


class GrantsOnWorkflowPage(TypedDict):
    items: list[GrantsOnWorkflow]
    next_cursor: str | None


class Health(TypedDict):
    status: str


class KeptVersion(TypedDict):
    version: int
    # Whether it is the one that holds.
    current: bool
    created_by: UserRef | None
    created_at: str


class KeptVersions(TypedDict):
    # The newest first, at most 10.
    items: list[KeptVersion]
    next_cursor: str | None


class KeyPage(TypedDict):
    items: list[KeyView]
    next_cursor: str | None


class KeyRotated(TypedDict):
    key_id: str
    # False: the key comes from a setting, and only the values were sealed anew.
    key_is_new: bool
    resealed: int
    # Keys that only backups need now.
    former_key_ids: list[str]


class KeyView(TypedDict):
    id: str
    name: str
    # How the key begins, to recognise it by.
    prefix: str
    user: UserRef
    scopes: list[str] | None
    status: Literal["active", "expired", "revoked"]
    created_by: UserRef | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    # To the minute.
    last_used_at: str | None
    # The key that this one was rotated from.
    replaces: str | None


class LastFiring(TypedDict):
    at: str
    # null if it started no run; then `last_error` or the firing says why.
    run_id: str | None


class LinkView(TypedDict):
    # Whoever has it may decide, once; it is shown in this answer only.
    url: str
    expires_at: str
    decision: Literal["approve", "reject"] | None


class LiveCanary(TypedDict):
    version: int
    # Percent of the triggered runs.
    share: float
    since: str


class LogPage(TypedDict):
    items: list[LogView]
    next_cursor: str | None


class LogView(TypedDict):
    # Increasing; lines that a filter leaves out leave gaps.
    seq: int
    path: str | None
    attempt: int | None
    at: str
    level: str
    text: str
    metadata: dict[str, Any] | None


class LoggedOut(TypedDict):
    # Where a browser logs out at the provider, too.
    provider_logout_url: str


class LoginProvider(TypedDict):
    # Whether people can log in by a provider.
    enabled: bool
    # Its name, for people.
    name: str | None
    # Where a browser begins.
    login_url: str | None


class MadeKey(TypedDict):
    id: str
    name: str
    # How the key begins, to recognise it by.
    prefix: str
    user: UserRef
    scopes: list[str] | None
    status: Literal["active", "expired", "revoked"]
    created_by: UserRef | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    # To the minute.
    last_used_at: str | None
    # The key that this one was rotated from.
    replaces: str | None
    # The key itself, shown this once.
    key: str


class MadeUser(TypedDict):
    id: str
    kind: Literal["person", "service"]
    email: str | None
    name: str
    role: str
    # granted: of workflows this user sees and does only what grants on single ones give.
    access: Literal["all", "granted"]
    status: Literal["active", "disabled", "deleted"]
    has_password: bool
    # Somebody else chose it: nothing else can be done before.
    must_change_password: bool
    created_at: str
    updated_at: str | None
    disabled_at: str | None
    last_login_at: str | None
    # Shown once: who has it sets the password (POST /auth/reset).
    reset_token: str | None
    reset_expires_at: str | None


class Me(TypedDict):
    id: str
    kind: Literal["person", "service"]
    email: str | None
    name: str
    role: str
    # granted: of workflows this user sees and does only what grants on single ones give.
    access: Literal["all", "granted"]
    status: Literal["active", "disabled", "deleted"]
    has_password: bool
    # Somebody else chose it: nothing else can be done before.
    must_change_password: bool
    created_at: str
    updated_at: str | None
    disabled_at: str | None
    last_login_at: str | None
    # What can be done with the credential of this request.
    permissions: list[str]
    credential: Literal["api_key", "session"]
    session_id: str | None
    # The key of this request; null for a login.
    api_key: UsedKey | None


class Newest(TypedDict):
    # The newest first; 10,000 or 16 MB at most.
    items: list[dict[str, Any]]
    # Whether there are older ones that are not here.
    more: bool


class NextFiring(TypedDict):
    # What the schedule says.
    due_at: str
    # The same, as clocks in the trigger's zone show it.
    local: str
    timezone: str
    # Later than `due_at` by the trigger's jitter.
    starts_at: str


class NoteView(TypedDict):
    """A record that is no part of an attempt: what was decided, with its data."""

    seq: int
    type: str
    at: str
    data: dict[str, Any]


class OperationView(TypedDict):
    id: str
    action: str
    status: Literal["running", "completed", "failed"]
    # Runs that are meant: found when the operation began, and not left out.
    total: int
    # For retry: runs that the filter found and that were retried or rerun before; left out.
    already_retried: int
    # For retry: runs that the filter found and that a task of another run waited for; left out, as the retry of that
    # run does their work again.
    left_to_parents: int
    done: int
    # Runs that had finished or did not take it.
    failed: int
    # Those that `failed` counts, and why: the first 100 of them.
    refused: list[RefusedRun]
    # What the last run said that did not take it; or why the operation has `failed`: who asked for it was disabled, or
    # has lost the right.
    error: str | None
    created_by: UserRef | None
    created_at: str
    finished_at: str | None


class OutsideSecret(TypedDict):
    name: str
    # Where its value is that holds.
    source: Literal["environment", "folder"]


class OutsideSecretPage(TypedDict):
    items: list[OutsideSecret]
    next_cursor: str | None


class OwnTestMode(TypedDict):
    on: bool
    # null is as the settings have it.
    recipient: str | None
    # null is as the settings have it.
    skip_execution: bool | None


class Periods(TypedDict):
    # How long what tasks took and answered is kept, and logs.
    payloads: str
    # How long runs are kept.
    runs: str
    # Whether runs are archived before they are deleted.
    archive: bool


class PersonalData(TypedDict):
    exported_at: str
    user: UserView
    # At login providers.
    identities: list[dict[str, Any]]
    # Logins; those that have ended, too, as long as they are kept.
    sessions: list[dict[str, Any]]
    api_keys: list[dict[str, Any]]
    grants: list[dict[str, Any]]
    # What others did to it, by the audit log.
    done_to_the_account: Newest
    # Workflows, versions, secrets, …, by kind.
    made: dict[str, Newest]
    # What the user did, by the audit log.
    done: Newest
    # Runs that the user started.
    runs: Newest
    # What the user approved or rejected.
    approvals: Newest


Preview = TypedDict(
    "Preview",
    {
        "expression": "str",
        "timezone": "str",
        "from": "str",
        # Why later firings are not shown: each depends on the run before it.
        "note": "str | None",
        "items": "list[PreviewedFiring]",
        # From a day before the first firing shown, up to the last.
        "clock_changes": "list[PreviewedClockChange]",
    },
)


class PreviewedClockChange(TypedDict):
    at: str
    # What clocks would show.
    before: str
    # What they show.
    after: str


class PreviewedFiring(TypedDict):
    # What the schedule says.
    due_at: str
    # What clocks in the zone show then, with their distance from UTC.
    local: str
    offset: str
    # `gap`: the time that is named does not exist on this day. `overlap`: clocks show this time twice.
    shift: Literal["gap", "overlap"] | None
    # The shift in words.
    note: str | None
    # Later by the trigger's jitter; null if that is not known yet.
    starts_at: str | None
    # With a jitter that is not known yet: it starts before this.
    starts_before: str | None


class Problem(TypedDict):
    """RFC 9457, with a stable `code` and the `faults` of the request."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    faults: list[FaultView]
    # As in the header `X-Request-Id`, by which the log has it, too.
    request_id: str | None


class PublishedEvent(TypedDict):
    id: str
    type: str
    # Who told it.
    source: str
    # What it happened to.
    subject: str | None
    data: Any
    # The run that published it.
    run_id: str | None
    # The task that published it.
    task: str | None
    # When it was stored.
    at: str
    # The id that its source gave it.
    external_id: str | None
    # When it happened, by its source.
    occurred_at: str | None
    # Further attributes of a CloudEvent.
    extensions: dict[str, Any]
    # Whether its source had told it before; then it is shown as it was told then.
    repeated: bool


class PublishedEvents(TypedDict):
    """Of a batch of CloudEvents."""

    items: list[PublishedEvent]


class QuestionView(TypedDict):
    message: str
    # JSON Schema of what whoever decides may fill in.
    form: dict[str, Any] | None
    # What is decided when its time is over; null: then the task has timed out.
    default: Literal["approve", "reject"] | None
    since: str
    # When its time is over; null if it may wait for ever.
    until: str | None


class Readiness(TypedDict):
    status: str
    # Schedules that should have fired a minute ago or more and did not; left out if there are none. 101 means more
    # than 100.
    overdue_schedules: NotRequired[int | None]


class RecordPage(TypedDict):
    items: list[RecordView]
    next_cursor: str | None


class RecordView(TypedDict):
    # 1, 2, 3, … without gaps.
    seq: int
    type: str
    path: str | None
    at: str
    # What belongs to its type; `by` is a user, with `id` and `name`.
    data: dict[str, Any] | None
    # Only in streams of more than one run.
    run_id: NotRequired[str | None]
    # Only in streams of more than one run.
    workflow_id: NotRequired[str | None]


class RefusedBy(TypedDict):
    # `event_type`, `source`, `subject`, `if`; or `enabled`, `workflow.status`, `workflow.deployed`, `config` for a
    # trigger that fires for nothing now.
    filter: str
    # What the filter asks for.
    wanted: Any
    # What the event has.
    got: Any
    message: str


class RefusedRun(TypedDict):
    run: str
    message: str


class RetentionPreview(TypedDict):
    dry_run: Literal[True]
    # Runs with their retries and sub-runs, each family counted once.
    families: int
    runs: int
    # Of these runs those that would be archived before.
    archived: int
    # Runs that stay, but without payloads and logs.
    payloads: int
    # Operations on many runs that have ended.
    operations: int
    # Workers that are dead, and that no attempt refers to.
    incarnations: int
    # Archives that are old enough.
    archives: int
    workflows: list[DueOfWorkflow]


class RetentionRound(TypedDict):
    id: str
    cause: Literal["schedule", "request"]
    started_at: str
    finished_at: str | None
    # Runs deleted.
    runs: int
    # Runs whose payloads and logs were deleted.
    payloads: int
    # Firings deleted.
    firings: int
    # Events deleted.
    events: int
    # Operations on many runs deleted.
    operations: int
    # Rows of workers deleted that are dead, and that no attempt refers to.
    incarnations: int
    # Of the runs deleted those that were archived before.
    archived: int
    # Archives deleted.
    archives: int
    error: str | None


class RetentionStarted(TypedDict):
    dry_run: Literal[False]
    round: RetentionRound


class RetentionView(TypedDict):
    # How long what tasks took and answered is kept, and logs.
    payloads: str
    # How long runs are kept.
    runs: str
    # Whether runs are archived before they are deleted.
    archive: bool
    # How long archives are kept.
    archives: str
    # Workflows whose definition says otherwise.
    workflows: list[WorkflowPeriods]
    current_round: RetentionRound | None
    last_round: RetentionRound | None


class RetryConfig(TypedDict):
    """How often, and after how many seconds, a call is tried again where the task does not say it."""

    # Tries after the first one.
    max_retries: NotRequired[int]
    # Seconds before the first of them.
    delay: NotRequired[float]
    # No delay is longer, in seconds.
    max_delay: NotRequired[float]
    # Each further delay is so much longer.
    multiplier: NotRequired[float]


class RunPage(TypedDict):
    items: list[RunView]
    next_cursor: str | None


class RunView(TypedDict):
    id: str
    workflow: WorkflowOfRun
    status: str
    trigger_type: str
    trigger_id: str | None
    triggered_by: UserRef | None
    input: Any
    variables: Any
    output: Any
    error: FailureView | None
    # What a test run tests; null for other runs, and in lists.
    test: TestOfRun | None
    correlation_id: str | None
    priority: int
    # The run whose sub-workflow it is.
    parent: str | None
    # The task there that waits for it.
    parent_path: str | None
    retry_of: str | None
    # The first run of its family: what was retried and rerun belongs together.
    root: str
    # Of a retry or a rerun from a task: what was done in the run it repeats and is done again all the same, and why;
    # the first 100. Empty in lists.
    done_again: list[DoneAgain]
    # Why it does not go on at once; in lists the first reason only.
    waiting_for: list[WaitingFor]
    run_at: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancelled_at: str | None
    # Who asked for the end; null where no person did.
    cancelled_by: UserRef | None
    # Why it was to end, as far as somebody said so; null in lists.
    cancel_reason: str | None
    # When retention deleted the logs of the run, and what its tasks took and answered.
    payloads_deleted_at: str | None
    # In lists: payloads too large for one; the single run has them.
    omitted: NotRequired[list[str]]


class ScheduleSimulation(TypedDict):
    """What active schedules would fire, the earliest first."""

    items: list[ScheduledFiring]
    # Whether these are all: neither `limit` nor the number of schedules cut it off.
    complete: bool
    # Schedules that were looked at; 5,000 at most, those that fire next first.
    schedules: int


class ScheduledFiring(TypedDict):
    trigger: SimulatedTrigger
    due_at: str
    # What clocks in its zone show then, with their distance from UTC.
    local: str
    # `gap`: the time that is named does not exist on this day. `overlap`: clocks show this time twice.
    shift: Literal["gap", "overlap"] | None
    # Later than `due_at` by the trigger's jitter.
    starts_at: str


class SecretDetail(TypedDict):
    name: str
    description: str | None
    # Counts how often it was set.
    version: int
    # Those that may use it; null: all.
    workflows: list[str] | None
    # Those that it may be sent to; null: all.
    hosts: list[str] | None
    # Where a value of the same name stands that wins over this one.
    overridden_by: Literal["environment", "folder"] | None
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str
    used_by: list[UserOfIt]


class SecretPage(TypedDict):
    items: list[SecretView]
    next_cursor: str | None


class SecretView(TypedDict):
    name: str
    description: str | None
    # Counts how often it was set.
    version: int
    # Those that may use it; null: all.
    workflows: list[str] | None
    # Those that it may be sent to; null: all.
    hosts: list[str] | None
    # Where a value of the same name stands that wins over this one.
    overridden_by: Literal["environment", "folder"] | None
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str


class SessionPage(TypedDict):
    items: list[SessionView]
    next_cursor: str | None


class SessionView(TypedDict):
    id: str
    kind: Literal["web", "token"]
    address: str | None
    user_agent: str | None
    # Whether this request belongs to it.
    current: bool
    created_at: str
    # To the minute.
    last_used_at: str
    expires_at: str


class Setting(TypedDict):
    name: str
    variables: list[str]
    value: Any
    default: str
    description: str


class SettingPage(TypedDict):
    items: list[Setting]
    next_cursor: None


class SetupNeeded(TypedDict):
    # Whether nobody has a password yet.
    needed: bool


class SimulatedFiring(TypedDict):
    trigger: SimulatedTrigger
    # Whether this event would make it fire.
    matches: bool
    # Every filter that refuses the event.
    refused: list[RefusedBy]
    # What the run would be given.
    input: dict[str, Any] | None
    # Why the firing would fail: its `if` or its `input` has no value.
    error: str | None


class SimulatedTrigger(TypedDict):
    id: str
    name: str
    type: str
    workflow: SimulatedWorkflow


class SimulatedWorkflow(TypedDict):
    id: str
    name: str
    status: str


class SimulationPage(TypedDict):
    items: list[SimulatedFiring]
    next_cursor: str | None


class Standing(TypedDict):
    list: str
    index: int
    path: str


class StateOfWorkflow(TypedDict):
    version: int
    status: str
    deployed_version: int | None
    # What it was applied from last, if it was told.
    source: str | None


class StopAnswer(TypedDict):
    # Runs that were asked to end.
    stopped: int


TaskDifference = TypedDict(
    "TaskDifference",
    {
        "id": "str",
        "change": "Literal['added', 'removed', 'changed', 'moved']",
        # Stands elsewhere in relation to the others; a changed task may have moved, too.
        "moved": "bool",
        "from": "Standing | None",
        "to": "Standing | None",
        "fields": "list[FieldDifference]",
        # A task that was added or removed.
        "task": "NotRequired[dict[str, Any] | None]",
    },
)


class TaskPage(TypedDict):
    items: list[TaskView]
    next_cursor: None


class TaskRunPage(TypedDict):
    items: list[TaskRunView]
    next_cursor: str | None


class TaskRunView(TypedDict):
    run_id: str
    # The id of the task.
    task: str
    # Its id, in loops behind the iterations that it stands in: `load[3].store`.
    path: str
    # The path of the control task that it stands in.
    parent: str | None
    # The number of the innermost iteration that it stands in, from 0.
    iteration: int | None
    # What its item is called, in a foreach with a `key`.
    item_key: str | None
    type: str
    # Whether it is a task of a test run that is not done.
    mocked: bool
    status: str
    # Number of its latest attempt, lost ones included; 0 before the first.
    attempt: int
    failures: int
    crashes: int
    skip_reason: str | None
    # The rendered config, secrets masked.
    input: Any
    output: Any
    error: FailureView | None
    # Of a control task: which of its lists of tasks runs, or ran.
    block: str | None
    # Of a foreach: how many items it has.
    items: int | None
    # Of a loop in a list with `loops=closed`: how many iterations have begun.
    begun: int | None
    # Of a sub_workflow: its run.
    child_run_id: str | None
    # The earlier run whose output it has taken over.
    adopted_from: str | None
    worker: WorkerOfTask | None
    ready_at: str | None
    available_at: str | None
    started_at: str | None
    finished_at: str | None
    # What is asked, if it waits for a decision; left out in lists.
    approval: NotRequired[QuestionView | None]
    omitted: NotRequired[list[str]]


class TaskStory(TypedDict):
    path: str
    outcome: str | None
    # Why it was skipped.
    reason: str | None
    error: FailureView | None
    started_at: str | None
    finished_at: str | None
    attempts: list[AttemptView]
    waits: list[WaitView]
    notes: list[NoteView]


class TaskSummary(TypedDict):
    # Stays while the id of the task does, in all versions.
    uid: str
    id: str
    name: str | None
    type: str
    list: str
    index: int


class TaskType(TypedDict):
    type: str
    # Empty if the type cannot be used.
    summary: str
    # `built-in`, or the package that brings it.
    origin: str
    # JSON Schema of what `config` takes; null if the type cannot be used.
    config_schema: dict[str, Any] | None
    # Why the type cannot be used; null if it can.
    problem: str | None


class TaskTypePage(TypedDict):
    items: list[TaskType]
    next_cursor: None


class TaskView(TypedDict):
    # Stays while the id of the task does, and when the task is changed here.
    uid: str
    id: str
    list: str
    index: int
    workflow: WorkflowOfTask
    # The task in the canonical form.
    task: dict[str, Any]


class TestModeView(TypedDict):
    workflow: WorkflowOfTestMode
    # What was said about this workflow; null is as the settings have it.
    said: OwnTestMode | None
    # Whether a trigger that fires sends an e-mail.
    on: bool
    # Who gets it; null while test mode is off.
    recipient: str | None
    # Whether no run starts then.
    skip_execution: bool


class TestOfRun(TypedDict):
    # Tasks that were not done.
    mocked: list[str]
    # The task that runs alone.
    only: str | None
    virtual_time: bool


class TimelineView(TypedDict):
    run_id: str
    status: str
    created_at: str | None
    started_at: str | None
    finished_at: str | None
    waits: list[WaitView]
    # In the order in which they first appear in the history.
    tasks: list[TaskStory]
    # Records of the run itself.
    notes: list[NoteView]
    # The last record told here.
    last_seq: int
    # False when the run has more records than one timeline is made of (50,000).
    complete: bool
    # Then: what to send as `after` for the timeline of the records behind.
    next_after: int | None


class TokenError(TypedDict):
    # invalid_request, invalid_grant, invalid_scope, unsupported_grant_type, …
    error: str
    error_description: str


class Tokens(TypedDict):
    """As OAuth 2 has it (RFC 6749)."""

    # For `Authorization: Bearer`.
    access_token: str
    token_type: Literal["Bearer"]
    # Seconds for which the access token holds.
    expires_in: int
    # Gives the next tokens, once.
    refresh_token: str
    # The permissions it is limited to, with blanks between.
    scope: NotRequired[str | None]


class TriggerCounts(TypedDict):
    # Times it fired, whatever came of it.
    fired: int
    # Runs it started.
    started: int
    # Times it fired and could start no run: an error, or a refusal.
    failed: int
    # Due times that nobody was there to act on.
    missed: int


class TriggerOfBackfill(TypedDict):
    id: str
    # null once it is removed.
    name: str | None


class TriggerPage(TypedDict):
    items: list[TriggerView]
    next_cursor: str | None


class TriggerTypePage(TypedDict):
    items: list[TriggerTypeView]
    next_cursor: None


class TriggerTypeView(TypedDict):
    type: str
    summary: str
    # JSON Schema of what `config` takes.
    config_schema: dict[str, Any]


TriggerView = TypedDict(
    "TriggerView",
    {
        "id": "str",
        # The id of the trigger in its definition.
        "name": "str",
        "workflow": "WorkflowOfTrigger",
        "type": "str",
        # `definition`, or `api` for one that was made by a request of its own.
        "origin": "str",
        "enabled": "bool",
        # Enabled, of a type that fires, and its workflow is active and deployed.
        "active": "bool",
        # Why it does not fire: `not_supported` (this release keeps triggers of this type, and fires none), `disabled`,
        # `workflow_paused` (or another status), `workflow_not_deployed`, `no_next_time`.
        "silent_because": "str | None",
        "if": "Any",
        "config": "dict[str, Any]",
        "input": "dict[str, Any]",
        # null for all other types.
        "webhook": "WebhookPaths | None",
        "next_firing": "NextFiring | None",
        # The run after whose end it is due: of an interval that is counted from there.
        "awaits_run": "str | None",
        # It should have fired a minute ago or more, and nobody has decided about it.
        "overdue": "bool",
        # When it should have fired.
        "overdue_since": "str | None",
        "last_firing": "LastFiring | None",
        "last_error": "str | None",
        "counts": "TriggerCounts",
        "created_at": "str",
        "updated_at": "str",
    },
)


class UsedKey(TypedDict):
    id: str
    name: str
    # How the key begins.
    prefix: str


class UserOfIt(TypedDict):
    id: str
    # A workflow whose deployed version names it.
    name: str
    version: int


class UserPage(TypedDict):
    items: list[UserView]
    next_cursor: str | None


class UserRef(TypedDict):
    """A user who did something. Compare by `id`; names can change, and need not be unique."""

    id: str
    # What the user is called now; the id again where no such user exists.
    name: str


class UserView(TypedDict):
    id: str
    kind: Literal["person", "service"]
    email: str | None
    name: str
    role: str
    # granted: of workflows this user sees and does only what grants on single ones give.
    access: Literal["all", "granted"]
    status: Literal["active", "disabled", "deleted"]
    has_password: bool
    # Somebody else chose it: nothing else can be done before.
    must_change_password: bool
    created_at: str
    updated_at: str | None
    disabled_at: str | None
    last_login_at: str | None


class ValidationAnswer(TypedDict):
    valid: bool
    definition: dict[str, Any]
    warnings: list[str]


class VersionDetail(TypedDict):
    id: str
    number: int
    tag: str | None
    author: UserRef | None
    comment: str | None
    content_hash: str
    created_at: str
    definition: dict[str, Any]


class VersionPage(TypedDict):
    items: list[VersionSummary]
    next_cursor: str | None


class VersionSummary(TypedDict):
    id: str
    number: int
    tag: str | None
    author: UserRef | None
    comment: str | None
    content_hash: str
    created_at: str


WaitView = TypedDict(
    "WaitView",
    {
        # `task_limit`: for a worker and a place under a limit; `not_admitted`: for either of two limits.
        "reason": "str",
        "from": "str",
        # Null while it lasts.
        "until": "str | None",
        # The earliest time at which it could go on.
        "available_at": "NotRequired[str | None]",
        # Of the limits under which it waited.
        "keys": "NotRequired[list[str]]",
    },
)
"""A time in which nothing ran, and why."""


class WaitingFor(TypedDict):
    reason: Literal[
        "delayed",
        "concurrency",
        "rate_limit",
        "admission",
        "paused",
        "delay",
        "task_limit",
        "worker",
        "no_worker",
        "sleep",
        "event",
        "signal",
        "approval",
        "sub_workflow",
    ]
    message: str


WebhookDetail = TypedDict(
    "WebhookDetail",
    {
        # Of the trigger that it is.
        "id": "str",
        "name": "str",
        "workflow": "WorkflowOfTrigger",
        # `api`, or `definition` for one that is changed there.
        "origin": "str",
        "enabled": "bool",
        # Enabled, and its workflow is active and deployed.
        "active": "bool",
        # Why it takes no requests.
        "silent_because": "str | None",
        "if": "Any",
        "input": "dict[str, Any]",
        "last_firing": "LastFiring | None",
        # For example the secret that is missing, without which all are refused.
        "last_error": "str | None",
        "counts": "TriggerCounts",
        "created_at": "str",
        "updated_at": "str",
        # Where it takes requests, below the address of the server.
        "url_path": "str | None",
        "authentication": "dict[str, Any]",
        "headers": "dict[str, str]",
        "event_type": "str | None",
        "respond": "str",
        "wait": "str",
        "max_body": "int",
        "dedupe": "dict[str, Any] | None",
        "raw": "bool",
        "methods": "list[str]",
        # What keeps it from taking requests now: a secret that is not there, say.
        "warnings": "list[str]",
    },
)


class WebhookPage(TypedDict):
    items: list[WebhookView]
    next_cursor: str | None


class WebhookPaths(TypedDict):
    # Where it takes requests.
    paths: list[str]


class WebhookTriggerConfigApiKeyAuthentication(TypedDict):
    # A key in a header.
    type: Literal["api_key"]
    # The header that has the key.
    header: NotRequired[str]
    # The key: {{ secrets.NAME }}.
    value: str


class WebhookTriggerConfigBasicAuthentication(TypedDict):
    # User name and password.
    type: Literal["basic"]
    # The user's name.
    username: str
    # The password: {{ secrets.NAME }}.
    password: str


class WebhookTriggerConfigDedupe(TypedDict):
    """One of the two."""

    # The header by which deliveries are told apart.
    header: NotRequired[str | None]
    # What in the body tells deliveries apart, with dots between the keys.
    body: NotRequired[str | None]


class WebhookTriggerConfigHmacAuthentication(TypedDict):
    """A signature over the body as it was sent."""

    # A signature of the body, by a secret that both sides know.
    type: Literal["hmac"]
    # Whose signatures these are: what is signed, and how.
    preset: NotRequired[Literal["github", "stripe", "slack", "generic"]]
    # What it is signed with: {{ secrets.NAME }}.
    secret: str
    # Generic: the header with the signature; X-Signature.
    header: NotRequired[str | None]
    # Generic: the header with the time, as seconds since 1970; the text `TIME.BODY` is signed then.
    timestamp_header: NotRequired[str | None]
    # Generic: the hash function; sha256.
    algorithm: NotRequired[Literal["sha256", "sha512", "sha1"] | None]
    # Generic: how the signature is written; hex.
    encoding: NotRequired[Literal["hex", "base64"] | None]
    # Generic: what stands before the signature.
    prefix: NotRequired[str | None]
    # How far the time of a request may be from now, in both directions; 5m.
    tolerance: NotRequired[str | float | None]


class WebhookTriggerConfigJwtAuthentication(TypedDict):
    """A token of RFC 7519, as `Authorization: Bearer TOKEN`. It must say when it expires."""

    # A signed token that says who calls, for whom, and until when.
    type: Literal["jwt"]
    # The algorithms that are taken: those of a secret, or those of a key.
    algorithms: list[
        Literal[
            "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"
        ]
    ]
    # For HS256 and the like: {{ secrets.NAME }}.
    secret: NotRequired[str | None]
    # For all others: the public key as PEM, or {{ secrets.NAME }}.
    public_key: NotRequired[str | None]
    # The `iss` it must have.
    issuer: NotRequired[str | None]
    # One of its `aud`; without this, a token that is for somebody named is refused.
    audience: NotRequired[str | None]
    # How far clocks may differ.
    leeway: NotRequired[str | float]


class WebhookTriggerConfigNoAuthentication(TypedDict):
    # Whoever knows the path may call.
    type: Literal["none"]


WebhookView = TypedDict(
    "WebhookView",
    {
        # Of the trigger that it is.
        "id": "str",
        "name": "str",
        "workflow": "WorkflowOfTrigger",
        # `api`, or `definition` for one that is changed there.
        "origin": "str",
        "enabled": "bool",
        # Enabled, and its workflow is active and deployed.
        "active": "bool",
        # Why it takes no requests.
        "silent_because": "str | None",
        "if": "Any",
        "input": "dict[str, Any]",
        "last_firing": "LastFiring | None",
        # For example the secret that is missing, without which all are refused.
        "last_error": "str | None",
        "counts": "TriggerCounts",
        "created_at": "str",
        "updated_at": "str",
        # Where it takes requests, below the address of the server.
        "url_path": "str | None",
        "authentication": "dict[str, Any]",
        "headers": "dict[str, str]",
        "event_type": "str | None",
        "respond": "str",
        "wait": "str",
        "max_body": "int",
        "dedupe": "dict[str, Any] | None",
        "raw": "bool",
        "methods": "list[str]",
    },
)


class WorkerOfTask(TypedDict):
    id: str
    host: str | None


class WorkerPage(TypedDict):
    installation_id: str
    items: list[WorkerView]
    next_cursor: None


class WorkerView(TypedDict):
    """One life of a worker process."""

    id: str
    status: Literal["live", "lost", "retired"]
    host: str
    pid: int
    queues: list[str]
    # Task attempts it runs at the same time.
    slots: int
    # Task attempts it runs now.
    running: int
    started_at: str
    heartbeat_at: str
    lost_at: str | None
    retired_at: str | None


class WorkflowDetail(TypedDict):
    id: str
    name: str
    slug: str
    description: str | None
    category: str | None
    labels: dict[str, str]
    metadata: dict[str, Any]
    owner: str | None
    status: str
    # Number of the newest version.
    version: int
    deployed_version: int | None
    # What was said about its test mode; null is as the settings say.
    test_mode: OwnTestMode | None
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str
    # What it was applied from last, if it was told.
    source: str | None
    # The version that is tried out beside the deployed one.
    canary: LiveCanary | None
    # The canonical form.
    definition: dict[str, Any]
    # The names that the tasks of the definition have besides.
    tasks: list[TaskSummary]
    warnings: list[str]


class WorkflowName(TypedDict):
    id: str
    name: str


class WorkflowOfApproval(TypedDict):
    id: str
    name: str


class WorkflowOfBackfill(TypedDict):
    id: str
    name: str


class WorkflowOfRun(TypedDict):
    id: str
    name: str
    version: int


class WorkflowOfTask(TypedDict):
    id: str
    name: str
    version: int


class WorkflowOfTestMode(TypedDict):
    id: str
    name: str


class WorkflowOfTrigger(TypedDict):
    id: str
    name: str
    status: str


class WorkflowPage(TypedDict):
    items: list[WorkflowSummary]
    next_cursor: str | None


class WorkflowPeriods(TypedDict):
    # How long what tasks took and answered is kept, and logs.
    payloads: str
    # How long runs are kept.
    runs: str
    # Whether runs are archived before they are deleted.
    archive: bool
    workflow_id: str
    name: str


class WorkflowState(TypedDict):
    id: str
    name: str
    status: str


class WorkflowSummary(TypedDict):
    id: str
    name: str
    slug: str
    description: str | None
    category: str | None
    labels: dict[str, str]
    metadata: dict[str, Any]
    owner: str | None
    status: str
    # Number of the newest version.
    version: int
    deployed_version: int | None
    # What was said about its test mode; null is as the settings say.
    test_mode: OwnTestMode | None
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str
