"""All tables, in one MetaData, by what they are about:

access      the installation, users, API keys, secrets, connections
workflows   workflows, versions, deployments
runs        runs and all that the engine writes about them
changes     the order of changes across all runs
triggers    triggers, firings, events
artifacts   files, and operations on many runs
retention   what is being deleted, when that was done, and where it is archived
"""

from millrace.storage.tables.access import api_keys, connections, encryption_keys, installation, secrets, users
from millrace.storage.tables.artifacts import artifacts, operations
from millrace.storage.tables.base import metadata, one_of
from millrace.storage.tables.changes import changes
from millrace.storage.tables.retention import archives, deletions, retention_rounds
from millrace.storage.tables.runs import (
    attempts,
    inbox,
    incarnations,
    limits,
    logs,
    records,
    runs,
    start_keys,
    task_runs,
    timers,
)
from millrace.storage.tables.triggers import events, firings, triggers
from millrace.storage.tables.workflows import deployments, task_uids, workflow_sources, workflow_versions, workflows

__all__ = [
    "api_keys",
    "archives",
    "artifacts",
    "attempts",
    "changes",
    "connections",
    "deletions",
    "deployments",
    "encryption_keys",
    "events",
    "firings",
    "inbox",
    "incarnations",
    "installation",
    "limits",
    "logs",
    "metadata",
    "one_of",
    "operations",
    "records",
    "retention_rounds",
    "runs",
    "secrets",
    "start_keys",
    "task_runs",
    "task_uids",
    "timers",
    "triggers",
    "users",
    "workflow_sources",
    "workflow_versions",
    "workflows",
]
