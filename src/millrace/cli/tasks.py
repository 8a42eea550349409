"""Commands about the single tasks of a workflow: list, show, add, change, remove. Each change makes a new version.

A task is written as in a definition. Where it is to stand (`after`, `index`, `list`) and a `comment` may be written
beside its fields, so a file says all of a change; the server alone knows the rules.
"""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.arguments import a_name
from millrace.cli.connection import CommandError, Connection
from millrace.cli.definitions import SUFFIXES
from millrace.cli.inputs import parse_pairs
from millrace.cli.output import print_json, print_table, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, Server

Task = Annotated[
    str,
    typer.Argument(
        help="Uid or id of the task.", autocompletion=completion.tasks, callback=a_name("a task", "millrace tasks list")
    ),
]
File = Annotated[
    Path, typer.Option("--file", "-f", help="YAML or JSON file with the task's fields.", exists=True, dir_okay=False)
]

tasks = typer.Typer(help="The tasks of a workflow, one by one.", no_args_is_help=True)


@tasks.command(name="list")
def list_tasks(workflow: Workflow, as_json: AsJson = False, server: Server = None) -> None:
    """List the tasks of the newest version, those within tasks included."""
    with Connection(server) as connection:
        found = connection.get(f"{workflow_path(connection, workflow)}/tasks")["items"]
    if as_json:
        print_json(found)
        return
    rows = [[item["id"], item["task"]["type"], f"{item['list']}[{item['index']}]", item["uid"]] for item in found]
    print_table(["task", "type", "place", "uid"], rows)


@tasks.command()
def show(workflow: Workflow, task: Task, server: Server = None) -> None:
    """Show a task as JSON."""
    with Connection(server) as connection:
        print_json(connection.get(_path(connection, workflow, task)))


@tasks.command()
def add(workflow: Workflow, file: File, as_json: AsJson = False, server: Server = None) -> None:
    """Add a task: at the end, or where `after`, `index` or `list` in the file say."""
    with Connection(server) as connection:
        path = f"{workflow_path(connection, workflow)}/tasks"
        _print_changed(_send(connection, "POST", path, file), as_json)


@tasks.command()
def change(
    workflow: Workflow,
    task: Task,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="YAML or JSON file with the fields to change.", exists=True, dir_okay=False),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="field=value; the value is read as JSON if it is JSON; null takes it out."),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Change fields of a task; `after`, `index` or `list` move it. It keeps its uid, also under another id."""
    if (file is None) == (not fields):
        raise CommandError("say what to change: either -f FILE or -s field=value")
    with Connection(server) as connection:
        path = _path(connection, workflow, task)
        if file is None:
            changed = connection.patch(path, parse_pairs("-s", fields or []))
        else:
            changed = _send(connection, "PATCH", path, file)
    _print_changed(changed, as_json)


@tasks.command()
def remove(
    workflow: Workflow,
    task: Task,
    comment: Annotated[str | None, typer.Option("--comment", "-m", help="Kept with the new version.")] = None,
    server: Server = None,
) -> None:
    """Remove a task. Refused while other tasks depend on it or read what it answers."""
    with Connection(server) as connection:
        query = "" if comment is None else f"?comment={quote(comment, safe='')}"
        connection.delete(f"{_path(connection, workflow, task)}{query}")
    say(f"{task} is removed")


def _path(connection: Connection, workflow: str, task: str) -> str:
    return f"{workflow_path(connection, workflow)}/tasks/{quote(task, safe='')}"


def _send(connection: Connection, method: str, path: str, file: Path) -> Any:
    media_type = SUFFIXES.get(file.suffix, "application/yaml")
    return connection.send_text(method, path, file.read_bytes(), media_type)


def _print_changed(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    workflow = answer["workflow"]
    say(f"{workflow['name']}: version {workflow['version']}, {answer['id']} is {answer['list']}[{answer['index']}]")
