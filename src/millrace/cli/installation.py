"""Commands that show what an installation can do and how it is set: task-types, schema, workers, settings."""

from typing import Annotated, Any

import typer

from millrace.cli.connection import CommandError, Connection
from millrace.cli.output import moment, print_json, print_table
from millrace.cli.runs import AsJson, Server


def task_types(
    name: Annotated[str | None, typer.Argument(help="Show the config of this type, as JSON Schema.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the task types of this installation, and where they come from."""
    with Connection(server) as connection:
        found = connection.get("/task-types")["items"]
    if name is not None:
        one = next((item for item in found if item["type"] == name), None)
        if one is None:
            raise CommandError(f"there is no task type {name!r}; there are {', '.join(item['type'] for item in found)}")
        if one["problem"] is not None and not as_json:
            raise CommandError(f"the task type {name} of {one['origin']} cannot be used: {one['problem']}")
        print_json(one if as_json else one["config_schema"])
    elif as_json:
        print_json(found)
    else:
        print_table(["type", "from", "what it does"], [[item["type"], item["origin"], _does(item)] for item in found])


def _does(item: dict[str, Any]) -> str:
    return str(item["summary"] if item["problem"] is None else f"cannot be used: {item['problem']}")


def schema(server: Server = None) -> None:
    """Print the JSON Schema of definitions, with which an editor completes and checks them."""
    with Connection(server) as connection:
        print_json(connection.get("/definition-schema"))


def workers(
    everyone: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the workers of this installation, newest first."""
    with Connection(server) as connection:
        found = connection.get("/workers", live="false" if everyone else "true")["items"]
    if as_json:
        print_json(found)
        return
    rows = [
        [
            item["id"],
            item["status"],
            f"{item['host']}:{item['pid']}",
            ",".join(item["queues"]),
            f"{item['running']}/{item['slots']}",
            moment(item["started_at"]),
        ]
        for item in found
    ]
    print_table(["id", "status", "process", "queues", "running", "since"], rows)


def settings(as_json: AsJson = False, server: Server = None) -> None:
    """List the settings in effect; what is secret is masked."""
    with Connection(server) as connection:
        found = connection.get("/settings")["items"]
    if as_json:
        print_json(found)
        return
    print_table(["variable", "value"], [[item["variables"][0], _shown(item["value"])] for item in found])


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
