"""From the name of a workflow, as people write it, to its path in the API; and what several commands about it share."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.connection import CommandError, Connection

Workflow = Annotated[str, typer.Argument(help="Name, slug or id of the workflow.", autocompletion=completion.workflows)]
Workflows = Annotated[
    list[str], typer.Argument(help="Names, slugs or ids of workflows.", autocompletion=completion.workflows)
]


def workflow_path(connection: Connection, reference: str) -> str:
    """`/workflows/NAME`; with the id where a name cannot stand in a path (`a/b`, `..`)."""
    if "/" in reference or not reference.strip("."):
        reference = _id_of(connection, reference)
    return f"/workflows/{quote(reference, safe='')}"


def workflows_told(found: Sequence[dict[str, Any]]) -> str:
    """Workflows as part of a sentence."""
    names = ", ".join(repr(workflow["name"]) for workflow in found)
    return f"the workflow{'' if len(found) == 1 else 's'} {names}"


def _id_of(connection: Connection, name: str) -> str:
    for item in connection.pages("/workflows", name=name) if name else ():
        if item["name"] == name:
            return str(item["id"])
    raise CommandError(f"there is no workflow named {name!r}")
