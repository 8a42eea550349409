"""All tables, in one MetaData, by what they are about:

access      the installation, users, API keys, logins, secrets, connections
agents      services that tasks call, and their health
canaries    second versions that take a share of the triggered runs
workflows   workflows, versions, deployments
runs        runs and all that the engine writes about them
changes     the order of changes across all runs, and who follows it
triggers    triggers, their routes, firings, events, backfills
artifacts   files, and operations on many runs
mails       mail that is to be sent
retention   what is being deleted, when that was done, and where it is archived
"""

from millrace.storage.tables.access import (
    api_keys,
    connections,
    encryption_keys,
    installation,
    login_failures,
    password_resets,
    refresh_tokens,
    secrets,
    sessions,
    users,
)
from millrace.storage.tables.agents import agent_checks, agents
from millrace.storage.tables.artifacts import artifacts, operations
from millrace.storage.tables.base import metadata, one_of
from millrace.storage.tables.canaries import canaries
from millrace.storage.tables.changes import changes, followers
from millrace.storage.tables.mails import mails
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
    test_runs,
    timers,
    wait_routes,
    waits,
)
from millrace.storage.tables.triggers import backfills, events, firings, trigger_routes, triggers
from millrace.storage.tables.workflows import deployments, task_uids, workflow_sources, workflow_versions, workflows

__all__ = [
    "agent_checks",
    "agents",
    "api_keys",
    "archives",
    "artifacts",
    "attempts",
    "backfills",
    "canaries",
    "changes",
    "connections",
    "deletions",
    "deployments",
    "encryption_keys",
    "events",
    "firings",
    "followers",
    "inbox",
    "incarnations",
    "installation",
    "limits",
    "login_failures",
    "logs",
    "mails",
    "metadata",
    "one_of",
    "operations",
    "password_resets",
    "records",
    "refresh_tokens",
    "retention_rounds",
    "runs",
    "secrets",
    "sessions",
    "start_keys",
    "task_runs",
    "task_uids",
    "test_runs",
    "timers",
    "trigger_routes",
    "triggers",
    "users",
    "wait_routes",
    "waits",
    "workflow_sources",
    "workflow_versions",
    "workflows",
]
