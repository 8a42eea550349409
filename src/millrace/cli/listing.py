"""Commands about workflows as they are: list them, show one, and its test mode."""

from typing import Annotated, Any

import typer

from millrace.cli.connection import CommandError, Connection
from millrace.cli.output import moment, name_of, print_json, print_table, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, Server
from millrace.core.values import JsonObject

ByName = Annotated[str | None, typer.Option("--name", "-n", help="Part of the name.")]
ByStatus = Annotated[list[str] | None, typer.Option("--status", "-s", help="May be repeated.")]
ByLabel = Annotated[list[str] | None, typer.Option("--label", "-l", help="key:value; may be repeated.")]
ByCategory = Annotated[str | None, typer.Option("--category", help="Only those of this category.")]
ByOwner = Annotated[str | None, typer.Option("--owner", help="Only those of this owner.")]
BySource = Annotated[str | None, typer.Option("--source", help="Only those that were applied from here.")]

workflows = typer.Typer(help="Workflows: list them, show one, and say whether its triggers are only tried.")


@workflows.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    name: ByName = None,
    status: ByStatus = None,
    label: ByLabel = None,
    category: ByCategory = None,
    owner: ByOwner = None,
    source: BySource = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List workflows by name; the same as `millrace workflows list`."""
    if context.invoked_subcommand is None:
        list_workflows(name, status, label, category, owner, source, as_json, server)


@workflows.command(name="list")
def list_workflows(
    name: ByName = None,
    status: ByStatus = None,
    label: ByLabel = None,
    category: ByCategory = None,
    owner: ByOwner = None,
    source: BySource = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List workflows by name."""
    query: dict[str, Any] = {"name": name, "category": category, "owner": owner, "source": source}
    if status:
        query["status"] = ",".join(status)
    if label:
        query["label"] = label
    with Connection(server) as connection:
        found = list(connection.pages("/workflows", **query))
    if as_json:
        print_json(found)
        return
    rows = [
        [item["name"], item["status"], str(item["version"]), _deployed(item), moment(item["updated_at"])]
        for item in found
    ]
    print_table(["name", "status", "version", "deployed", "updated"], rows)


@workflows.command()
def show(workflow: Workflow, as_json: AsJson = False, server: Server = None) -> None:
    """Show what a workflow is, without its definition; `millrace export` has that."""
    with Connection(server) as connection:
        path = workflow_path(connection, workflow)
        found, mode = connection.get(path), connection.get(f"{path}/test-mode")
    if as_json:
        print_json({**found, "test_mode": mode})
        return
    say(f"workflow   {found['id']}")
    say(f"name       {found['name']}" + ("" if found["slug"] == found["name"] else f"  ({found['slug']})"))
    if found["description"]:
        say(f"about      {found['description']}")
    say(f"status     {found['status']}, version {found['version']}, deployed {_deployed(found)}")
    if live := found["canary"]:
        say(f"canary     version {live['version']}, {live['share']:g} % of the triggered runs")
    say(f"tasks      {', '.join(task['id'] for task in found['tasks']) or '-'}")
    say(f"changed    {moment(found['updated_at'])} by {name_of(found['updated_by'])}")
    say(f"test mode  {_mode(mode)}")


@workflows.command(name="test-mode")
def mode_of_tests(
    workflow: Workflow,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whatever the settings of the server say.")] = None,
    recipient: Annotated[
        str | None, typer.Option("--recipient", help="Who gets the mail; by default as the settings say.")
    ] = None,
    skip_execution: Annotated[
        bool | None,
        typer.Option("--skip-execution/--no-skip-execution", help="Whether no run starts; by default as the settings."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Let the workflow be as the settings say.")] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show or set whether a trigger that fires sends an e-mail instead of starting a run."""
    said: JsonObject = {"on": on, "recipient": recipient, "skip_execution": skip_execution}
    given: JsonObject = {name: value for name, value in said.items() if value is not None}
    if clear and given:
        raise CommandError("--clear stands alone: it takes back what the other options say")
    if given and on is None:
        raise CommandError("say --on or --off, too")
    with Connection(server) as connection:
        path = f"{workflow_path(connection, workflow)}/test-mode"
        mode = connection.delete(path) if clear else connection.put(path, given) if given else connection.get(path)
    print_json(mode) if as_json else say(f"{mode['workflow']['name']}: test mode is {_mode(mode)}")


def _mode(mode: dict[str, Any]) -> str:
    by = "as the settings say" if mode["said"] is None else "as was said about this workflow"
    if not mode["on"]:
        return f"off, {by}"
    runs = "no run starts" if mode["skip_execution"] else "runs start"
    return f"on, {by}: {mode['recipient'] or 'nobody'} gets a mail, {runs}"


def _deployed(item: dict[str, Any]) -> str:
    return "-" if item["deployed_version"] is None else str(item["deployed_version"])
