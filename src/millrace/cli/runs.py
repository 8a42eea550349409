"""Commands about runs: run, runs, show, logs, cancel."""

import json
from typing import Annotated, Any

import typer

from millrace.cli.connection import (
    EXIT_CANCELLED,
    EXIT_FAILED,
    CommandError,
    Connection,
)
from millrace.cli.follow import FINISHED, follow
from millrace.cli.output import clock_time, duration, marked, moment, print_json, print_table
from millrace.core.values import JsonObject, JsonValue

Server = Annotated[str | None, typer.Option("--server", help="URL of the server; found by itself if it runs here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunId = Annotated[str, typer.Argument(help="Id of the run.")]

EXIT_BY_STATUS = {"completed": 0, "failed": EXIT_FAILED, "cancelled": EXIT_CANCELLED}


def run(
    workflow: Annotated[str, typer.Argument(help="Name, slug or id of the workflow.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="key=value; the value is read as JSON if it is JSON, else as text."),
    ] = None,
    follow_run: Annotated[bool, typer.Option("--follow", "-f", help="Show the run until it has finished.")] = False,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key starts the run only once.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Kept with the run, to find it by.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Start a run. With --follow the exit status is 0 completed, 1 failed, 3 cancelled."""
    body: JsonObject = {"input": parse_inputs(inputs or [])}
    if correlation_id is not None:
        body["correlation_id"] = correlation_id
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    with Connection(server) as connection:
        started = connection.post(f"/workflows/{_segment(workflow)}/execute", body, headers=headers)
        if not follow_run:
            print_json(started) if as_json else typer.echo(started["id"])
            return
        if not as_json:
            typer.echo(f"run {started['id']} of {started['workflow']['name']} version {started['workflow']['version']}")
        finished = follow(connection, started["id"], quiet=as_json)
        if as_json:
            print_json(finished)
        else:
            _print_ending(finished)
        raise typer.Exit(EXIT_BY_STATUS[finished["status"]])


def runs(
    workflow: Annotated[str | None, typer.Option("--workflow", "-w", help="Only runs of this workflow.")] = None,
    status: Annotated[str | None, typer.Option("--status", "-s", help="Only runs with this status.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=200)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List runs, newest first."""
    with Connection(server) as connection:
        page = connection.get("/runs", workflow=workflow, status=status, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        [
            item["id"],
            item["workflow"]["name"],
            marked(item["status"]),
            moment(item["created_at"]),
            duration(item["started_at"], item["finished_at"]),
        ]
        for item in page["items"]
    ]
    print_table(["id", "workflow", "status", "created", "took"], rows)


def show(run_id: RunId, as_json: AsJson = False, server: Server = None) -> None:
    """Show a run and its tasks."""
    with Connection(server) as connection:
        found = connection.get(f"/runs/{run_id}")
        tasks = list(connection.pages(f"/runs/{run_id}/tasks"))
    if as_json:
        print_json({**found, "tasks": tasks})
        return
    typer.echo(f"run       {found['id']}")
    typer.echo(f"workflow  {found['workflow']['name']} version {found['workflow']['version']}")
    typer.echo(f"status    {marked(found['status'])}")
    typer.echo(f"created   {moment(found['created_at'])}   took {duration(found['started_at'], found['finished_at'])}")
    typer.echo(f"input     {json.dumps(found['input'], ensure_ascii=False)}")
    _print_ending(found)
    typer.echo("")
    print_table(["task", "type", "status", "attempt", "took", "error"], [_task_row(task) for task in tasks])


def logs(
    run_id: RunId,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only lines of this task.")] = None,
    follow_logs: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has finished.")] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Print the log lines of a run."""
    after = 0
    with Connection(server) as connection:
        while True:
            finished = connection.get(f"/runs/{run_id}")["status"] in FINISHED
            wait = 10 if follow_logs and not finished else None
            page = connection.get(f"/runs/{run_id}/logs", after=after, task=task, wait_seconds=wait, limit=500)
            for line in page["items"]:
                after = line["seq"]
                print_json(line) if as_json else typer.echo(_log_line(line))
            if not page["items"] and (finished or not follow_logs):
                return


def cancel(
    run_id: RunId,
    reason: Annotated[str | None, typer.Option(help="Kept in the run's history.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Cancel a run: what runs is stopped, `finally` tasks still run. A second cancel skips those too."""
    with Connection(server) as connection:
        answer = connection.post(f"/runs/{run_id}/cancel", {} if reason is None else {"reason": reason})
    print_json(answer) if as_json else typer.echo(f"cancel of {run_id} is under way")


def parse_inputs(pairs: list[str]) -> JsonObject:
    """`["day=2026-01-01", "limit=3"]` as `{"day": "2026-01-01", "limit": 3}`."""
    parsed: JsonObject = {}
    for pair in pairs:
        key, found, text = pair.partition("=")
        if not found or not key:
            raise CommandError(f"-i {pair}: write key=value")
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


def _segment(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _print_ending(found: dict[str, Any]) -> None:
    if found.get("error"):
        typer.echo(f"error     {found['error']['kind']}: {found['error']['message']}")
    if found.get("output") is not None:
        typer.echo(f"output    {json.dumps(found['output'], ensure_ascii=False)}")
    elif found["status"] in FINISHED and not found.get("error"):
        typer.echo(f"{found['status']} in {duration(found['started_at'], found['finished_at'])}")


def _task_row(task: dict[str, Any]) -> list[str]:
    error = task.get("error")
    return [
        task["path"],
        task["type"],
        marked(task["status"]),
        str(task["attempt"]) if task["attempt"] else "-",
        duration(task["started_at"], task["finished_at"]),
        f"{error['kind']}: {error['message']}"[:100] if error else "",
    ]


def _log_line(line: dict[str, Any]) -> str:
    level = "" if line["level"] == "info" else f"{line['level'].upper()} "
    return f"{clock_time(line['at'])} {line['path'] or 'run'} | {level}{line['text']}"
