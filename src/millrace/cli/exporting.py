"""`millrace export`: workflows as files. Applying what was exported changes nothing."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.connection import CommandError, Connection
from millrace.cli.output import cleaned, on_terminal, print_json, say
from millrace.cli.references import workflow_path
from millrace.cli.runs import AsJson, Server
from millrace.core.values import JsonObject

SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def export(
    workflows: Annotated[
        list[str] | None, typer.Argument(help="Names, slugs or ids of workflows.", autocompletion=completion.workflows)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every workflow.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write to, a file for each workflow.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Write the newest definitions of workflows as YAML: one to the screen, or each to a file named by its slug."""
    if everything == bool(workflows):
        raise CommandError("name the workflows to export, or say --all")
    with Connection(server) as connection:
        found = [connection.get(path) for path in _paths(connection, workflows or [])]
    if as_json:
        print_json([exported(workflow) for workflow in found])
    elif folder is not None:
        _write(found, folder)
    elif len(found) == 1:
        text = _yaml(found[0])
        typer.echo(cleaned(text) if on_terminal() else text, nl=False)
    else:
        raise CommandError(f"{len(found)} workflows do not fit into one text; say -o FOLDER")


def exported(workflow: dict[str, Any]) -> JsonObject:
    """The canonical definition, and what of its state is not what a new workflow has."""
    definition: JsonObject = dict(workflow["definition"])
    state: JsonObject = {"name": definition.pop("name")}
    if workflow["status"] != "active":
        state["status"] = workflow["status"]
    if workflow["deployed_version"] is None and workflow["status"] != "draft":
        state["deploy"] = False
    return {**state, **definition}


def _paths(connection: Connection, names: list[str]) -> list[str]:
    if names:
        return [workflow_path(connection, name) for name in dict.fromkeys(names)]
    return [f"/workflows/{item['id']}" for item in connection.pages("/workflows")]


def _write(found: list[dict[str, Any]], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for workflow in found:
            place = folder / f"{_file_name(workflow)}.yaml"
            place.write_text(_yaml(workflow), encoding="utf-8", newline="\n")
            say(f"{workflow['name']}: {place}")
    except OSError as error:
        raise CommandError(f"cannot write to {folder}: {error.strerror}") from None


def _file_name(workflow: dict[str, Any]) -> str:
    """The slug, which is unique; whatever a server answers, a file lands in the folder."""
    slug = str(workflow["slug"])
    return slug if SAFE_NAME.fullmatch(slug) else str(workflow["id"]).replace("/", "_")


def _yaml(workflow: dict[str, Any]) -> str:
    from millrace.definition.writing import write_yaml

    return write_yaml(exported(workflow))
