"""All tables, in one MetaData, by what they are about:

access      the installation, users and their grants, API keys, logins, secrets, connections
oidc        identities at a login provider
agents      services that tasks call, and their health
canaries    second versions that take a share of the triggered runs
workflows   workflows, versions, deployments
runs        runs and all that the engine writes about them
changes     the order of changes across all runs, and who follows it
triggers    triggers, their routes, firings, events, backfills
artifacts   files, and operations on many runs
audit       who changed what, and where its chain begins
mails       mail that is to be sent
retention   what is being deleted, when that was done, and where it is archived
"""

from millrace.storage.tables.access import (
    api_keys,
    connection_versions,
    connections,
    encryption_keys,
    grants,
    installation,
    login_failures,
    password_resets,
    rate_counts,
    refresh_tokens,
    secret_versions,
    secrets,
    sessions,
    users,
)
from millrace.storage.tables.agents import agent_checks, agents
from millrace.storage.tables.artifacts import artifacts, operations
from millrace.storage.tables.audit import audit_anchor, audit_log
from millrace.storage.tables.base import metadata, one_of
from millrace.storage.tables.canaries import canaries
from millrace.storage.tables.changes import changes, followers
from millrace.storage.tables.mails import mails
from millrace.storage.tables.oidc import oidc_identities, oidc_logins
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
    "audit_anchor",
    "audit_log",
    "backfills",
    "canaries",
    "changes",
    "connection_versions",
    "connections",
    "deletions",
    "deployments",
    "encryption_keys",
    "events",
    "firings",
    "followers",
    "grants",
    "inbox",
    "incarnations",
    "installation",
    "limits",
    "login_failures",
    "logs",
    "mails",
    "metadata",
    "oidc_identities",
    "oidc_logins",
    "one_of",
    "operations",
    "password_resets",
    "rate_counts",
    "records",
    "refresh_tokens",
    "retention_rounds",
    "runs",
    "secret_versions",
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
