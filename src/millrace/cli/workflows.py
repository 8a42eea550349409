"""Commands about what of workflows is in use: enable, disable, deploy, undeploy, archive, delete."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import EXIT_USAGE, Connection, ProblemError
from millrace.cli.consent import Yes, consent
from millrace.cli.definitions import print_warnings
from millrace.cli.output import counted, moment, name_of, print_json, print_table, say
from millrace.cli.references import Workflow, Workflows, workflow_path, workflows_told
from millrace.cli.runs import AsJson, Server

Comment = Annotated[str | None, typer.Option("--comment", "-m", help="Kept with the record of it.")]


def enable(names: Workflows, as_json: AsJson = False, server: Server = None) -> None:
    """Make workflows active: their triggers start runs."""
    _each(names, server, as_json, lambda connection, path: connection.post(f"{path}/enable"))


def disable(names: Workflows, as_json: AsJson = False, server: Server = None) -> None:
    """Pause workflows: their triggers are silent, `millrace run` still starts them."""
    _each(names, server, as_json, lambda connection, path: connection.post(f"{path}/disable"))


def deploy(
    workflow: Workflow,
    version: Annotated[
        str | None,
        typer.Argument(
            help="Number or tag of a version; by default the newest.",
            autocompletion=completion.versions,
            callback=a_name("a version", "millrace versions"),
        ),
    ] = None,
    comment: Comment = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Deploy a version: triggers start it, and so does `millrace run`."""
    body = {"version": version, "comment": comment}
    with Connection(server) as connection:
        answer = connection.post(f"{workflow_path(connection, workflow)}/deploy", {**body})
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['workflow']['name']}: version {answer['version']['number']} is deployed")


def undeploy(names: Workflows, as_json: AsJson = False, server: Server = None) -> None:
    """Take back what is deployed: no trigger of these workflows fires until a version is deployed again."""
    _each(names, server, as_json, lambda connection, path: connection.delete(f"{path}/deploy"))


def archive(names: Workflows, as_json: AsJson = False, server: Server = None) -> None:
    """Put workflows away: nothing starts them, and all that they did stays readable."""
    _each(names, server, as_json, lambda connection, path: connection.patch(path, {"status": "archived"}))


def delete(names: Workflows, yes: Yes = False, as_json: AsJson = False, server: Server = None) -> None:
    """Delete workflows. Runs under way go on, and what they did stays readable for as long as runs are kept."""

    def act(connection: Connection, path: str) -> dict[str, Any]:
        workflow: dict[str, Any] = connection.get(path)
        return {**workflow, "cancelled_runs": (connection.delete(path) or {}).get("cancelled_runs", 0)}

    if not yes:
        with Connection(server) as connection:
            found = [workflow for name in names if (workflow := _found(connection, name)) is not None]
        if found:
            consent(f"{workflows_told(found)} with all versions", yes=yes)
    _each(names, server, as_json, act, told=_told_of_deleted)


def deployments(
    workflow: Annotated[
        str | None, typer.Argument(help="Only those of this workflow.", autocompletion=completion.workflows)
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=200)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List what was deployed, undeployed and rolled back, newest first."""
    with Connection(server) as connection:
        path = "" if workflow is None else workflow_path(connection, workflow)
        page = connection.first(f"{path}/deployments", limit)
    if as_json:
        print_json(page)
        return
    rows = [
        [
            moment(item["at"]),
            item["workflow"]["name"],
            item["action"],
            str(item["version"] or "-"),
            item["outcome"],
            name_of(item["deployed_by"]),
            item["message"] or "",
        ]
        for item in page["items"]
    ]
    print_table(["at", "workflow", "action", "version", "outcome", "by", "message"], rows)


def _found(connection: Connection, name: str) -> dict[str, Any] | None:
    """The workflow to be deleted, if there is one: that there is none is told when it is to go."""
    try:
        workflow: dict[str, Any] = connection.get(workflow_path(connection, name))
    except ProblemError as error:
        if error.http_status != HTTPStatus.NOT_FOUND:
            raise
        return None
    return workflow


def _told(answer: dict[str, Any]) -> str:
    """In the answers about a deployment the workflow is a part, in the others it is the whole."""
    workflow = answer.get("workflow") or answer
    version = answer["version"]["number"] if answer.get("deployed") else answer.get("deployed_version")
    deployed = "nothing is deployed" if version is None else f"version {version} is deployed"
    return f"{workflow['name']}: {workflow['status']}, {deployed}"


def _told_of_deleted(workflow: dict[str, Any]) -> str:
    cancelled = workflow["cancelled_runs"]
    also = f", and {counted(cancelled, 'run')} that would have started later cancelled" if cancelled else ""
    return f"{workflow['name']} is deleted{also}"


def _each(
    names: list[str],
    server: str | None,
    as_json: bool,
    act: Callable[[Connection, str], Any],
    told: Callable[[dict[str, Any]], str] = _told,
) -> None:
    """Do it to each; those after one that cannot be done are still done."""
    answers: list[dict[str, Any]] = []
    failed = False
    with Connection(server) as connection:
        for name in names:
            try:
                answers.append(act(connection, workflow_path(connection, name)))
            except ProblemError as error:
                failed = True
                say(f"error: {error}", err=True)
    if as_json:
        print_json(answers)
    else:
        for answer in answers:
            say(told(answer))
            print_warnings(answer.get("warnings", []))
    if failed:
        raise typer.Exit(EXIT_USAGE)
