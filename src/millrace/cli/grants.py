"""Commands about grants: who may do what with a single workflow."""

from typing import Annotated
from urllib.parse import quote

import typer

from millrace.cli.connection import Connection
from millrace.cli.output import print_json, print_table, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, Server
from millrace.cli.users import User

Names = Annotated[list[str], typer.Argument(help="view, run, edit or approve; several, with blanks between.")]
OfUser = Annotated[str | None, typer.Option("--user", help="What this user was given, for whichever workflow.")]

grants = typer.Typer(help="Grants: what a user may do with a single workflow.", no_args_is_help=True)


@grants.command(name="list")
def list_grants(
    workflow: Annotated[str | None, typer.Argument(help="Name, slug or id of a workflow.")] = None,
    user: OfUser = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List who was given what for a workflow; with --user what a user was given, without either what you were."""
    if workflow is not None and user is not None:
        raise typer.BadParameter("name a workflow, or a user with --user, and not both")
    with Connection(server) as connection:
        if workflow is not None:
            found = list(connection.pages(f"{workflow_path(connection, workflow)}/grants"))
        elif user is None:
            found = list(connection.pages("/auth/me/grants"))
        else:
            found = list(connection.pages(f"/users/{quote(user, safe='')}/grants"))
    if as_json:
        print_json(found)
    elif workflow is not None:
        rows = [[item["user"]["name"], item["user"]["email"] or "-", ", ".join(item["grants"])] for item in found]
        print_table(["name", "e-mail", "grants"], rows)
    else:
        print_table(["workflow", "grants"], [[item["workflow"]["name"], ", ".join(item["grants"])] for item in found])


@grants.command(name="set")
def set_grants(workflow: Workflow, user: User, names: Names, as_json: AsJson = False, server: Server = None) -> None:
    """Let a user have exactly these grants on a workflow; they hold at once."""
    with Connection(server) as connection:
        path = f"{workflow_path(connection, workflow)}/grants/{quote(user, safe='')}"
        given = connection.put(path, {"grants": [*names]})
    if as_json:
        print_json(given)
        return
    say(f"{given['user']['name']} has {', '.join(given['grants'])} on {workflow}")


@grants.command()
def remove(workflow: Workflow, user: User, server: Server = None) -> None:
    """Take all grants on a workflow from a user; streams that the user has open end within seconds."""
    with Connection(server) as connection:
        connection.delete(f"{workflow_path(connection, workflow)}/grants/{quote(user, safe='')}")
    say(f"{user} has no grants on {workflow} any more")
