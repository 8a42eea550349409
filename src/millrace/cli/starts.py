"""Commands that start runs: run, retry, rerun."""

from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.connection import EXIT_CANCELLED, EXIT_FAILED, CommandError, Connection
from millrace.cli.follow import follow
from millrace.cli.inputs import (
    Changes,
    InputFile,
    Inputs,
    Variables,
    input_schema,
    parse_input,
    parse_pairs,
    read_input,
)
from millrace.cli.output import json_text, print_json, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, RunId, Server, print_ending
from millrace.core.values import JsonObject, JsonValue

MASK = "***"
"""What the API shows in place of a secret."""

EXIT_BY_STATUS = {"completed": 0, "failed": EXIT_FAILED, "cancelled": EXIT_CANCELLED}

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the run until it has finished.")]
Priority = Annotated[int | None, typer.Option(help="Higher goes first among runs and tasks that wait.")]
Confirmed = Annotated[bool, typer.Option("--confirm", help="For workflows that ask for a confirmation of each start.")]
Version = Annotated[str | None, typer.Option("--version", help="The number of a version, same or newest.")]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="The same key starts the run only once.")]


def run(
    workflow: Workflow,
    inputs: Inputs = None,
    input_file: InputFile = None,
    variables: Variables = None,
    follow_run: Follow = False,
    at: Annotated[str | None, typer.Option(help="Not before this time: 2026-03-29T01:00:00Z.")] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="Number or tag of a version, or newest; else the deployed one.", autocompletion=completion.versions
        ),
    ] = None,
    priority: Priority = None,
    confirm: Confirmed = False,
    idempotency_key: Key = None,
    correlation_id: Annotated[str | None, typer.Option(help="Kept with the run, to find it by.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Start a run. With --follow the exit status is 0 completed, 1 failed, 3 cancelled."""
    whole = read_input(input_file) or {}
    body: JsonObject = {
        "variables": parse_pairs("-v", variables or []),
        **given(run_at=at, version=version, priority=priority, correlation_id=correlation_id),
        **given(idempotency_key=idempotency_key),
        **({"confirmation": True} if confirm else {}),
    }
    with Connection(server) as connection:
        path = workflow_path(connection, workflow)
        changes = parse_input(inputs or [], lambda: input_schema(connection, path, version))
        started = connection.post(f"{path}/execute", {"input": {**whole, **changes}, **body})
        show_started(connection, started, follow_run, as_json)


def retry(
    run_id: RunId,
    inputs: Changes = None,
    input_file: InputFile = None,
    variables: Variables = None,
    version: Version = None,
    priority: Priority = None,
    confirm: Confirmed = False,
    idempotency_key: Key = None,
    follow_run: Follow = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Do again what did not complete, in a new run that takes over the rest."""
    whole = read_input(input_file)
    body = {**_changes(variables, version, priority, confirm), **given(idempotency_key=idempotency_key)}
    with Connection(server) as connection:
        body |= given(input=_edited(connection, run_id, whole, inputs or [], version))
        started = connection.post(f"/runs/{run_id}/retry", body)
        show_started(connection, started, follow_run, as_json)


def rerun(
    run_id: RunId,
    from_task: Annotated[
        str | None,
        typer.Option("--from", help="Begin with this task; else from the start.", autocompletion=completion.tasks),
    ] = None,
    inputs: Changes = None,
    input_file: InputFile = None,
    variables: Variables = None,
    version: Version = None,
    priority: Priority = None,
    confirm: Confirmed = False,
    idempotency_key: Key = None,
    follow_run: Follow = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Do a run again, from its beginning or from a task, in a new run."""
    whole = read_input(input_file)
    body = {
        **_changes(variables, version, priority, confirm),
        **given(from_task=from_task, idempotency_key=idempotency_key),
    }
    with Connection(server) as connection:
        body |= given(input=_edited(connection, run_id, whole, inputs or [], version))
        started = connection.post(f"/runs/{run_id}/rerun", body)
        show_started(connection, started, follow_run, as_json)


def _changes(variables: list[str] | None, version: str | None, priority: int | None, confirm: bool) -> JsonObject:
    """What else a new run is to have other than the old one. Without -v it gets the old one's variables."""
    number: JsonValue = int(version) if version is not None and version.isdigit() else version
    changed = given(variables=parse_pairs("-v", variables) if variables else None, version=number, priority=priority)
    return {**changed, **({"confirmation": True} if confirm else {})}


def _edited(
    connection: Connection, run_id: str, whole: JsonObject | None, inputs: list[str], version: str | None
) -> JsonObject | None:
    """The input of a run that does `run_id` again: that of the file, else the old one, with the changes of -i.

    `None` leaves it to the server, which knows the old input also where this command may not see all of it.
    """
    if not inputs:
        return whole
    old = connection.get(f"/runs/{run_id}")
    path = f"/workflows/{old['workflow']['id']}"
    wanted = str(old["workflow"]["version"]) if version in (None, "same") else version
    changes = parse_input(inputs, lambda: input_schema(connection, path, wanted))
    kept: JsonObject = old["input"] if whole is None else whole
    masked = [key for key, value in kept.items() if whole is None and key not in changes and MASK in json_text(value)]
    if masked:
        keys = ", ".join(masked)
        raise CommandError(f"the old input has secrets in {keys}, which are not shown; change them with -i, too")
    return {**kept, **changes}


def given(**values: JsonValue) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None}


def show_started(connection: Connection, started: dict[str, Any], follow_run: bool, as_json: bool) -> None:
    """The run that was started, or with `follow_run` all of it; then the exit status tells its end."""
    if not follow_run:
        print_json(started) if as_json else say(started["id"])
        return
    if not as_json:
        say(f"run {started['id']} of {started['workflow']['name']} version {started['workflow']['version']}")
    finished = follow(connection, started["id"], quiet=as_json)
    if as_json:
        print_json(finished)
    else:
        print_ending(finished)
    raise typer.Exit(EXIT_BY_STATUS[finished["status"]])
