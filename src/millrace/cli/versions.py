"""Commands about the versions of a workflow: versions, diff, tag, rollback."""

from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import EXIT_FAILED, Connection
from millrace.cli.differences import print_differences
from millrace.cli.output import moment, name_of, print_json, print_table, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, Server

Version = Annotated[
    str,
    typer.Argument(
        help="Number or tag of a version, or newest.",
        autocompletion=completion.versions,
        callback=a_name("a version", "millrace versions"),
    ),
]


def versions(
    workflow: Workflow,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=200)] = 50,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the versions of a workflow, newest first; the deployed one is marked."""
    with Connection(server) as connection:
        path = workflow_path(connection, workflow)
        page = connection.first(f"{path}/versions", limit)
        deployed = connection.get(f"{path}/deploy")["version"]
    if as_json:
        print_json(page)
        return
    rows = [
        [
            f"{item['number']}{' *' if deployed and item['number'] == deployed['number'] else ''}",
            item["tag"] or "-",
            moment(item["created_at"]),
            name_of(item["author"]),
            item["comment"] or "",
        ]
        for item in page["items"]
    ]
    print_table(["version", "tag", "created", "author", "comment"], rows)


def diff(
    workflow: Workflow,
    old: Annotated[
        str | None,
        typer.Option(
            "--from", help="Number, tag or newest; by default the version before.", autocompletion=completion.versions
        ),
    ] = None,
    new: Annotated[
        str | None,
        typer.Option("--to", help="Number or tag; by default the newest version.", autocompletion=completion.versions),
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with status 1 if they differ.")] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show what is different between two versions, by task and by field."""
    query: dict[str, Any] = {"from": old, "to": new}
    with Connection(server) as connection:
        found = connection.get(f"{workflow_path(connection, workflow)}/diff", **query)
    if as_json:
        print_json(found)
    else:
        say(f"{found['workflow']['name']}: version {_named(found['from'])} -> {_named(found['to'])}")
        if found["identical"]:
            say("no difference")
        print_differences(found)
    if exit_code and not found["identical"]:
        raise typer.Exit(EXIT_FAILED)


def rollback(
    workflow: Workflow,
    version: Version,
    comment: Annotated[str | None, typer.Option("--comment", "-m", help="Kept with the new version.")] = None,
    deploy: Annotated[bool, typer.Option(help="Deploy the new version.")] = True,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Make a new version that does what an older one did."""
    body = {"version": version, "comment": comment, "deploy": deploy}
    with Connection(server) as connection:
        answer = connection.post(f"{workflow_path(connection, workflow)}/rollback", {**body})
    if as_json:
        print_json(answer)
        return
    deployed = answer["deployed_version"]
    told = "nothing is deployed" if deployed is None else f"version {deployed} is deployed"
    say(f"{answer['name']}: version {answer['version']} does what {version} did; {told}")


def tag(
    workflow: Workflow,
    version: Version,
    name: Annotated[str | None, typer.Argument(help="The tag; without it the version's tag is taken off.")] = None,
    move: Annotated[bool, typer.Option("--move", help="Take the tag from the version that has it.")] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Give a version a name, or take it off."""
    from urllib.parse import quote

    with Connection(server) as connection:
        path = f"{workflow_path(connection, workflow)}/versions/{quote(version, safe='')}"
        answer = connection.patch(path, {"tag": name, **({"move": True} if move else {})})
    if as_json:
        print_json(answer)
    else:
        say(f"version {answer['number']}: {answer['tag'] or 'no tag'}")


def _named(version: dict[str, Any]) -> str:
    return f"{version['number']}{' (' + version['tag'] + ')' if version['tag'] else ''}"
