"""Commands about events: publish one, list and show what was published."""

import json
from itertools import islice
from typing import Annotated
from uuid import uuid4

import typer

from millrace.cli.arguments import an_id
from millrace.cli.connection import Connection
from millrace.cli.json_values import json_value
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server
from millrace.core.values import JsonObject

OfType = Annotated[str | None, typer.Option("--type", "-t", help="Only events of this type.")]
OfRun = Annotated[str | None, typer.Option("--run", help="Only events that this run published.")]
Most = Annotated[int, typer.Option("--limit", help="At most so many, the newest first.", min=1)]

LONGEST_DATA = 80
CLOUD_EVENT = "application/cloudevents+json"
FURTHER: JsonObject = {"specversion": "1.0", "source": "api"}
"""What a CloudEvent has to say, and Millrace's own form may leave out."""

event = typer.Typer(help="Events: what tasks and others told of.", no_args_is_help=True)


@event.command()
def publish(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="What kind of thing happened: orders.imported.")],
    source: Annotated[str | None, typer.Option(help="Who tells it; `api` otherwise.")] = None,
    subject: Annotated[str | None, typer.Option(help="What it happened to.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            "--correlation-key",
            help="What a task that waits for the event compares with its `key`; the subject otherwise.",
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="JSON, or @FILE with JSON; @- reads stdin.")] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="The same source and id again is the same event, told once.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Publish an event; a run starts of each trigger that waits for it, and runs that wait for it go on.

    With --key it is sent as a CloudEvent, whose attribute `correlationkey` that is.
    """
    told = {"type": type_, "source": source, "subject": subject, "id": id_}
    body: JsonObject = {name: value for name, value in told.items() if value is not None}
    if data is not None:
        body["data"] = json_value("--data", data)
    with Connection(server) as connection:
        if key is None:
            published = connection.post("/events", body)
        else:
            text = json.dumps({**FURTHER, "id": str(uuid4()), **body, "correlationkey": key})
            published = connection.send_text("POST", "/events", text.encode(), CLOUD_EVENT)
    if as_json:
        print_json(published)
    else:
        say(f"{published['id']}{'  (told before; nothing was done again)' if published['repeated'] else ''}")


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
