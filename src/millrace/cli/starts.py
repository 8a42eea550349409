"""Commands that start runs: run, retry, rerun."""

import json
from typing import Annotated, Any

import typer

from millrace.cli.connection import EXIT_CANCELLED, EXIT_FAILED, CommandError, Connection
from millrace.cli.follow import follow
from millrace.cli.output import print_json, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, RunId, Server, print_ending
from millrace.core.values import JsonObject, JsonValue

EXIT_BY_STATUS = {"completed": 0, "failed": EXIT_FAILED, "cancelled": EXIT_CANCELLED}

Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="key=value; the value is read as JSON if it is JSON, else as text."),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--variable", "-v", help="key=value, read as with -i; it wins over that of the definition."),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the run until it has finished.")]
Priority = Annotated[int | None, typer.Option(help="Higher goes first among runs and tasks that wait.")]
Confirmed = Annotated[bool, typer.Option("--confirm", help="For workflows that ask for a confirmation of each start.")]
Version = Annotated[str | None, typer.Option("--version", help="The number of a version, same or newest.")]


def run(
    workflow: Workflow,
    inputs: Inputs = None,
    variables: Variables = None,
    follow_run: Follow = False,
    at: Annotated[str | None, typer.Option(help="Not before this time: 2026-03-29T01:00:00Z.")] = None,
    version: Annotated[str | None, typer.Option(help="Number or tag of a version; else the deployed one.")] = None,
    priority: Priority = None,
    confirm: Confirmed = False,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key starts the run only once.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Kept with the run, to find it by.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Start a run. With --follow the exit status is 0 completed, 1 failed, 3 cancelled."""
    body: JsonObject = {
        "input": parse_pairs("-i", inputs or []),
        "variables": parse_pairs("-v", variables or []),
        **_given(run_at=at, version=version, priority=priority, correlation_id=correlation_id),
        **({"confirmation": True} if confirm else {}),
    }
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    with Connection(server) as connection:
        started = connection.post(f"{workflow_path(connection, workflow)}/execute", body, headers=headers)
        _show(connection, started, follow_run, as_json)


def retry(
    run_id: RunId,
    inputs: Inputs = None,
    variables: Variables = None,
    version: Version = None,
    priority: Priority = None,
    confirm: Confirmed = False,
    follow_run: Follow = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Do again what did not complete, in a new run that takes over the rest."""
    body = _changes(inputs, variables, version, priority, confirm)
    with Connection(server) as connection:
        started = connection.post(f"/runs/{run_id}/retry", body)
        _show(connection, started, follow_run, as_json)


def rerun(
    run_id: RunId,
    from_task: Annotated[str | None, typer.Option("--from", help="Begin with this task; else from the start.")] = None,
    inputs: Inputs = None,
    variables: Variables = None,
    version: Version = None,
    priority: Priority = None,
    confirm: Confirmed = False,
    follow_run: Follow = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Do a run again, from its beginning or from a task, in a new run."""
    body = {**_changes(inputs, variables, version, priority, confirm), **_given(from_task=from_task)}
    with Connection(server) as connection:
        started = connection.post(f"/runs/{run_id}/rerun", body)
        _show(connection, started, follow_run, as_json)


def _changes(
    inputs: list[str] | None, variables: list[str] | None, version: str | None, priority: int | None, confirm: bool
) -> JsonObject:
    """What a new run is to have other than the old one. Without -i it gets the old input, without -v its variables."""
    number: JsonValue = int(version) if version is not None and version.isdigit() else version
    given = _given(
        input=parse_pairs("-i", inputs) if inputs else None,
        variables=parse_pairs("-v", variables) if variables else None,
        version=number,
        priority=priority,
    )
    return {**given, **({"confirmation": True} if confirm else {})}


def _given(**values: JsonValue) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None}


def _show(connection: Connection, started: dict[str, Any], follow_run: bool, as_json: bool) -> None:
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


def parse_pairs(option: str, pairs: list[str]) -> JsonObject:
    """`["day=2026-01-01", "limit=3"]` as `{"day": "2026-01-01", "limit": 3}`."""
    parsed: JsonObject = {}
    for pair in pairs:
        key, found, text = pair.partition("=")
        if not found or not key:
            raise CommandError(f"{option} {pair}: write key=value")
        parsed[key] = _json_or_text(text)
    return parsed


def _json_or_text(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_json)
    except ValueError:
        return text
    return value


def _no_json(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")
