"""The commands of `millrace`, and what they are called."""

from collections.abc import Callable

import typer

from millrace.cli import (
    agents,
    api_keys,
    applying,
    archive,
    artifacts,
    audit,
    backfills,
    canaries,
    connections,
    control,
    database,
    decisions,
    definitions,
    exporting,
    grants,
    histories,
    installation,
    listing,
    login,
    previews,
    published,
    retention,
    runs,
    secrets,
    server,
    starts,
    tasks,
    test_runs,
    triggers,
    users,
    versions,
    webhooks,
    workflows,
)

PARTS: dict[str, tuple[Callable[..., None], ...]] = {
    "Workflows": (
        definitions.validate,
        applying.apply,
        exporting.export,
        workflows.enable,
        workflows.disable,
        workflows.deploy,
        workflows.undeploy,
        workflows.deployments,
        workflows.delete,
        versions.versions,
        versions.diff,
        versions.tag,
        versions.rollback,
    ),
    "Runs": (
        starts.run,
        starts.retry,
        starts.rerun,
        test_runs.test,
        test_runs.dry_run,
        runs.runs,
        runs.show,
        histories.logs,
        histories.events,
        histories.explain,
        control.cancel,
        control.pause,
        control.resume,
        control.stop,
        control.bulk,
        decisions.signal,
        decisions.approvals,
        decisions.approve,
        decisions.reject,
        decisions.approval_link,
    ),
    "Files and secrets": (),
    "Users and keys": (login.setup, login.login, login.logout, login.whoami, login.password),
    "Installation": (
        server.up,
        server.api,
        server.scheduler,
        server.worker,
        server.doctor,
        server.version,
        installation.task_types,
        installation.schema,
        installation.workers,
        installation.settings,
    ),
}
"""The commands, as the help shows them together; each is called as its function is."""

GROUPS: dict[str, dict[str, typer.Typer]] = {
    "Workflows": {
        "workflows": listing.workflows,
        "canary": canaries.canary,
        "tasks": tasks.tasks,
        "triggers": triggers.triggers,
        "webhooks": webhooks.webhooks,
        "backfill": backfills.backfill,
    },
    "Runs": {"event": published.event, "archive": archive.archive},
    "Files and secrets": {
        "artifacts": artifacts.artifacts,
        "secrets": secrets.secrets,
        "connections": connections.connections,
        "agents": agents.agents,
    },
    "Users and keys": {
        "users": users.users,
        "grants": grants.grants,
        "keys": api_keys.keys,
        "sessions": login.sessions,
    },
    "Installation": {"audit": audit.audit, "retention": retention.retention, "db": database.db},
}
"""Commands that have commands of their own."""

app = typer.Typer(
    name="millrace",
    help="Millrace: durable workflows on your own machine. Start with `millrace up`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(server.main)
triggers.triggers.command()(previews.preview)
for part, commands in PARTS.items():
    for command in commands:
        app.command(rich_help_panel=part)(command)
    for name, group in GROUPS[part].items():
        app.add_typer(group, name=name, rich_help_panel=part)
