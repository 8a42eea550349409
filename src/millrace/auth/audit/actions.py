"""What is written into the audit log: every action there is, as `entity.verb`.

A row says an action of this list or it is not written, so that who filters by one finds all there is. Runs that start
are in none of them: `run.start` is read from the runs themselves.
"""

from enum import StrEnum
from typing import Final


class Action(StrEnum):
    WORKFLOW_CREATE = "workflow.create"
    WORKFLOW_UPDATE = "workflow.update"
    WORKFLOW_ENABLE = "workflow.enable"
    WORKFLOW_DISABLE = "workflow.disable"
    WORKFLOW_DEPLOY = "workflow.deploy"
    WORKFLOW_UNDEPLOY = "workflow.undeploy"
    WORKFLOW_ROLLBACK = "workflow.rollback"
    WORKFLOW_DEPLOY_FAIL = "workflow.deploy_fail"
    WORKFLOW_DELETE = "workflow.delete"
    WORKFLOW_TEST_MODE = "workflow.test_mode"
    WORKFLOW_STOP = "workflow.stop"
    VERSION_DESCRIBE = "version.describe"
    CANARY_SET = "canary.set"
    CANARY_STOP = "canary.stop"
    TRIGGER_ENABLE = "trigger.enable"
    TRIGGER_DISABLE = "trigger.disable"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_UPDATE = "webhook.update"
    WEBHOOK_DELETE = "webhook.delete"
    BACKFILL_BEGIN = "backfill.begin"
    BACKFILL_PAUSE = "backfill.pause"
    BACKFILL_RESUME = "backfill.resume"
    BACKFILL_CANCEL = "backfill.cancel"
    RUN_CANCEL = "run.cancel"
    RUN_PAUSE = "run.pause"
    RUN_RESUME = "run.resume"
    RUN_SIGNAL = "run.signal"
    GRANT_SET = "grant.set"
    GRANT_REMOVE = "grant.remove"
    OPERATION_BEGIN = "operation.begin"
    APPROVAL_DECIDE = "approval.decide"
    APPROVAL_LINK = "approval.link"
    EVENT_PUBLISH = "event.publish"
    ARTIFACT_UPLOAD = "artifact.upload"
    ARTIFACT_DELETE = "artifact.delete"
    SECRET_SET = "secret.set"  # noqa: S105
    SECRET_DELETE = "secret.delete"  # noqa: S105
    CONNECTION_SET = "connection.set"
    CONNECTION_DELETE = "connection.delete"
    AGENT_CREATE = "agent.create"
    AGENT_UPDATE = "agent.update"
    AGENT_DELETE = "agent.delete"
    ENCRYPTION_KEY_ROTATE = "encryption_key.rotate"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    USER_DISABLE = "user.disable"
    USER_ENABLE = "user.enable"
    USER_DELETE = "user.delete"
    USER_ERASE = "user.erase"
    USER_RESET = "user.reset"
    API_KEY_CREATE = "api_key.create"
    API_KEY_ROTATE = "api_key.rotate"
    API_KEY_REVOKE = "api_key.revoke"
    PASSWORD_CHANGE = "password.change"  # noqa: S105
    LOGIN_START = "login.start"
    LOGIN_FAIL = "login.fail"
    LOGIN_END = "login.end"
    LOGIN_REUSE = "login.reuse"
    RETENTION_RUN = "retention.run"
    DATABASE_BACKUP = "database.backup"

    @property
    def entity(self) -> str:
        return self.value.partition(".")[0]


RUN_START: Final = "run.start"
