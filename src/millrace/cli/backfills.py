"""Commands about backfills: runs for due times of the past."""

from itertools import islice
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import an_id
from millrace.cli.connection import Connection
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server
from millrace.cli.triggers import TriggerId
from millrace.core.values import JsonObject

BackfillId = Annotated[
    str,
    typer.Argument(
        help="Id of the backfill; `millrace backfill list` shows it.",
        callback=an_id("a backfill", "millrace backfill list"),
    ),
]
From = Annotated[str, typer.Option("--from", help="The first due time that is meant: 2026-03-01T00:00:00Z.")]
Until = Annotated[str, typer.Option("--until", help="The last one that is meant; not in the future.")]
Parallel = Annotated[
    int | None,
    typer.Option("--parallel", "-p", help="So many runs at once; else one after the other.", min=1, max=50),
]
Again = Annotated[bool, typer.Option("--again", help="Also for due times that have fired before.")]
StopOnFailure = Annotated[bool, typer.Option("--stop-on-failure", help="End it when a run fails or cannot start.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be started.")]
OfWorkflow = Annotated[
    str | None,
    typer.Option("--workflow", "-w", help="Only backfills of this workflow.", autocompletion=completion.workflows),
]
OfStatus = Annotated[
    str | None, typer.Option("--status", "-s", help="running, paused, completed, cancelled or failed.")
]
Most = Annotated[int, typer.Option("--limit", help="At most so many, the newest first.", min=1)]

COUNTS = ("total", "left", "fired_before", "started", "completed", "failed", "skipped", "refused")

backfill = typer.Typer(help="Backfills: runs for due times of the past that had none.", no_args_is_help=True)


@backfill.command()
def start(
    trigger_id: TriggerId,
    start: From,
    until: Until,
    parallel: Parallel = None,
    again: Again = False,
    stop_on_failure: StopOnFailure = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Start a run for each due time of a past range that has none."""
    wanted: JsonObject = {"from": start, "until": until, "again": again, "stop_on_failure": stop_on_failure}
    if parallel is not None:
        wanted = {**wanted, "order": "parallel", "max_parallel": parallel}
    with Connection(server) as connection:
        found = connection.post(f"/triggers/{trigger_id}/backfill", {**wanted, "dry_run": dry_run})
    if as_json:
        print_json(found)
    elif dry_run:
        say(f"{found['total']} due times, {found['fired_before']} of them have a run already")
        say(f"first  {moment(found['first']['due_at'])}  {found['first']['local']}")
        say(f"last   {moment(found['last']['due_at'])}  {found['last']['local']}")
    else:
        say(f"backfill {found['id']}: {found['total']} due times")


@backfill.command(name="list")
def list_backfills(
    workflow: OfWorkflow = None,
    status: OfStatus = None,
    limit: Most = 50,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List backfills, newest first."""
    with Connection(server) as connection:
        found = list(islice(connection.pages("/backfills", workflow=workflow, status=status), limit))
    if as_json:
        print_json(found)
        return
    columns = ["id", "workflow", "trigger", "from", "until", "status", "total", "left", "completed", "failed"]
    print_table(columns, [_row(item) for item in found])


@backfill.command()
def show(backfill_id: BackfillId, as_json: AsJson = False, server: Server = None) -> None:
    """Show how far a backfill has come."""
    with Connection(server) as connection:
        found = connection.get(f"/backfills/{backfill_id}")
    if as_json:
        print_json(found)
        return
    say(f"backfill  {found['id']}")
    say(f"trigger   {_name(found)} of {found['workflow']['name']}")
    say(f"range     {moment(found['from'])} to {moment(found['until'])}")
    say(f"order     {'one after the other' if found['max_parallel'] == 1 else _at_once(found)}")
    say(f"status    {_status(found)}")
    say(f"counts    {'  '.join(f'{name} {found[name]}' for name in COUNTS)}")
    for run_id in found["under_way"]:
        say(f"at work   {run_id}")


@backfill.command()
def pause(backfill_id: BackfillId, as_json: AsJson = False, server: Server = None) -> None:
    """Start no more runs until it is resumed."""
    _change(backfill_id, "pause", as_json, server)


@backfill.command()
def resume(backfill_id: BackfillId, as_json: AsJson = False, server: Server = None) -> None:
    """Let a paused backfill go on."""
    _change(backfill_id, "resume", as_json, server)


@backfill.command()
def cancel(backfill_id: BackfillId, as_json: AsJson = False, server: Server = None) -> None:
    """End a backfill. Runs that it has started go on."""
    _change(backfill_id, "cancel", as_json, server)


def _change(backfill_id: str, action: str, as_json: bool, server: str | None) -> None:
    with Connection(server) as connection:
        found = connection.post(f"/backfills/{backfill_id}/{action}")
    print_json(found) if as_json else say(f"backfill {found['id']}: {_status(found)}, {found['left']} due times left")


def _row(item: dict[str, Any]) -> list[str]:
    return [
        item["id"],
        item["workflow"]["name"],
        _name(item),
        moment(item["from"]),
        moment(item["until"]),
        _status(item),
        *(str(item[name]) for name in ("total", "left", "completed", "failed")),
    ]


def _name(item: dict[str, Any]) -> str:
    return str(item["trigger"]["name"] or item["trigger"]["id"])


def _at_once(item: dict[str, Any]) -> str:
    return f"{item['max_parallel']} at once"


def _status(item: dict[str, Any]) -> str:
    why = item["reason"] or (item["rests_because"] or "").replace("_", " ")
    return f"{item['status']} ({why})" if why else str(item["status"])
