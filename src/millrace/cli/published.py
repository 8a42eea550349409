"""Commands about events: list and show what was published."""

import json
from itertools import islice
from typing import Annotated

import typer

from millrace.cli.arguments import an_id
from millrace.cli.connection import Connection
from millrace.cli.output import moment, print_json, print_table
from millrace.cli.runs import AsJson, Server

OfType = Annotated[str | None, typer.Option("--type", "-t", help="Only events of this type.")]
OfRun = Annotated[str | None, typer.Option("--run", help="Only events that this run published.")]
Most = Annotated[int, typer.Option("--limit", help="At most so many, the newest first.", min=1)]

LONGEST_DATA = 80

event = typer.Typer(help="Events: what tasks and others told of.", no_args_is_help=True)


@event.command(name="list")
def list_events(
    type_: OfType = None, run: OfRun = None, limit: Most = 50, as_json: AsJson = False, server: Server = None
) -> None:
    """List events, newest first."""
    with Connection(server) as connection:
        found = list(islice(connection.pages("/events", type=type_, run=run), limit))
    if as_json:
        print_json(found)
        return
    rows = [
        [one["id"], moment(one["at"]), one["type"], one["source"], one["subject"] or "-", _short(one["data"])]
        for one in found
    ]
    print_table(["id", "at", "type", "source", "subject", "data"], rows)


@event.command()
def show(
    event_id: Annotated[
        str,
        typer.Argument(
            help="Id of the event; `millrace event list` shows it.", callback=an_id("an event", "millrace event list")
        ),
    ],
    server: Server = None,
) -> None:
    """Show an event as JSON."""
    with Connection(server) as connection:
        print_json(connection.get(f"/events/{event_id}"))


def _short(data: object) -> str:
    text = "-" if data is None else json.dumps(data, ensure_ascii=False)
    return text if len(text) <= LONGEST_DATA else f"{text[: LONGEST_DATA - 1]}…"
