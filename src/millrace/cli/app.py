"""The commands of `millrace`, and what they are called."""

import typer

from millrace.cli import (
    applying,
    artifacts,
    connections,
    control,
    database,
    definitions,
    exporting,
    histories,
    installation,
    previews,
    published,
    retention,
    runs,
    secrets,
    server,
    starts,
    tasks,
    triggers,
    versions,
    workflows,
)

app = typer.Typer(
    name="millrace",
    help="Millrace: durable workflows on your own machine. Start with `millrace up`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(server.up)
app.command()(definitions.validate)
app.command()(applying.apply)
app.command()(exporting.export)
app.command(name="workflows")(workflows.workflows)
app.command()(workflows.enable)
app.command()(workflows.disable)
app.command()(workflows.deploy)
app.command()(workflows.undeploy)
app.command()(workflows.deployments)
app.command()(workflows.archive)
app.command()(workflows.delete)
app.command(name="versions")(versions.versions)
app.command()(versions.diff)
app.command()(versions.tag)
app.command()(versions.rollback)
app.command()(starts.run)
app.command()(starts.retry)
app.command()(starts.rerun)
app.command(name="runs")(runs.runs)
app.command()(runs.show)
app.command()(histories.logs)
app.command()(histories.events)
app.command()(histories.explain)
app.command()(control.cancel)
app.command()(control.pause)
app.command()(control.resume)
app.command()(control.stop)
app.command()(control.bulk)
app.command()(server.doctor)
app.command()(server.version)
app.command(name="task-types")(installation.task_types)
app.command()(installation.schema)
app.command()(installation.workers)
app.command()(installation.settings)
app.add_typer(tasks.tasks, name="tasks")
app.add_typer(artifacts.artifacts, name="artifacts")
triggers.triggers.command()(previews.preview)
app.add_typer(triggers.triggers, name="triggers")
app.add_typer(secrets.secrets, name="secrets")
app.add_typer(connections.connections, name="connections")
app.add_typer(published.event, name="event")
app.add_typer(retention.retention, name="retention")
app.add_typer(database.db, name="db")
