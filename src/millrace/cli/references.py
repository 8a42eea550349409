"""From the name of a workflow, as people write it, to its path in the API; and what several commands about it share."""

from typing import Annotated
from urllib.parse import quote

import typer

from millrace.cli.connection import CommandError, Connection

Workflow = Annotated[str, typer.Argument(help="Name, slug or id of the workflow.")]
Workflows = Annotated[list[str], typer.Argument(help="Names, slugs or ids of workflows.")]


def workflow_path(connection: Connection, reference: str) -> str:
    """`/workflows/NAME`; with the id where a name cannot stand in a path (`a/b`, `..`)."""
    if "/" in reference or not reference.strip("."):
        reference = _id_of(connection, reference)
    return f"/workflows/{quote(reference, safe='')}"


def _id_of(connection: Connection, name: str) -> str:
    for item in connection.pages("/workflows", name=name) if name else ():
        if item["name"] == name:
            return str(item["id"])
    raise CommandError(f"there is no workflow named {name!r}")
