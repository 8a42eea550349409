"""The command that shows when a schedule is due next."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli import completion
from millrace.cli.connection import CommandError, Connection
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server
from millrace.core.values import JsonObject

Expression = Annotated[str | None, typer.Argument(help='A cron expression, in quotes: "0 2 * * *".')]
Every = Annotated[str | None, typer.Option(help="An interval instead: 15m, 6h, 1d.")]
CountedFrom = Annotated[
    str | None, typer.Option(help="With --every: anchor (the default), or last_end: from the end of the last run.")
]
Anchor = Annotated[str | None, typer.Option(help="With --every: a moment that the steps are counted from.")]
At = Annotated[str | None, typer.Option(help="One moment instead: 2026-12-24T18:00.")]
Begin = Annotated[str | None, typer.Option("--start", help="Nothing is due before this moment.")]
End = Annotated[str | None, typer.Option(help="Nothing is due after this moment.")]
OfWorkflow = Annotated[
    str | None,
    typer.Option("--workflow", "-w", help="Preview a trigger of this workflow.", autocompletion=completion.workflows),
]
OfTrigger = Annotated[str | None, typer.Option("--trigger", "-t", help="Id of that trigger in the definition.")]
Timezone = Annotated[str | None, typer.Option("--timezone", "-z", help="IANA time zone, such as Europe/Berlin.")]
Gap = Annotated[str | None, typer.Option(help="A time that clocks skip: shift (the default) or skip.")]
Overlap = Annotated[str | None, typer.Option(help="A time that clocks show twice: first (the default), last or both.")]
Jitter = Annotated[str | None, typer.Option(help="Each trigger fires later, by less than this: 10m.")]
Count = Annotated[int, typer.Option("-n", "--count", help="How many firings.", min=1, max=100)]
From = Annotated[str | None, typer.Option("--from", help="Show those after this moment: 2026-03-28T00:00:00Z.")]

SUBJECTS = {"cron": "a cron expression", "interval": "--every", "once": "--at"}
"""How a schedule of each type is given."""
OWN = {
    "cron": {"gap", "overlap", "start", "end"},
    "interval": {"counted_from", "anchor", "start", "end"},
    "once": set[str](),
}
"""Options that not every type has."""
FIELDS = {"cron": "expression", "interval": "every", "once": "at"}
"""The field of a config that they stand for."""


def preview(
    expression: Expression = None,
    every: Every = None,
    at: At = None,
    workflow: OfWorkflow = None,
    trigger: OfTrigger = None,
    timezone: Timezone = None,
    gap: Gap = None,
    overlap: Overlap = None,
    counted_from: CountedFrom = None,
    anchor: Anchor = None,
    begin: Begin = None,
    end: End = None,
    jitter: Jitter = None,
    count: Count = 10,
    start: From = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show when a schedule is due next, and what changes of clocks do to it. Nothing is saved.

    The schedule is a cron expression, --every or --at; or that of a trigger, --workflow and --trigger.
    """
    own = {"gap": gap, "overlap": overlap, "counted_from": counted_from, "anchor": anchor, "start": begin, "end": end}
    rules = {
        name: value for name, value in {**own, "timezone": timezone, "jitter": jitter}.items() if value is not None
    }
    subjects = {"cron": expression, "interval": every, "once": at}
    named = [(kind, value) for kind, value in subjects.items() if value is not None]
    with Connection(server) as connection:
        if len(named) == 1 and workflow is None and trigger is None:
            body = _given({**_schedule(*named[0], rules), "count": count, "from": start})
            found = connection.post("/triggers/preview", body)
        elif not named and workflow is not None and trigger is not None:
            if rules:
                raise CommandError("a trigger has its zone and its rules in the definition; leave these options out")
            path = f"/workflows/{quote(workflow, safe='')}/triggers/{quote(trigger, safe='')}/preview"
            found = connection.get(path, count=count, **{"from": start})
        else:
            raise CommandError("give one of an expression, --every and --at, or --workflow and --trigger")
    _print(found, as_json=as_json)


def _schedule(kind: str, subject: str, rules: Mapping[str, str]) -> dict[str, Any]:
    """The type of a trigger with its config, from what was given on the command line."""
    for name in rules:
        types = [one for one, options in OWN.items() if name in options]
        if types and kind not in types:
            option = f"--{name.replace('_', '-')}"
            raise CommandError(f"{option} goes with {' or '.join(SUBJECTS[one] for one in types)}; leave it out here")
    shown = {name: value for name, value in rules.items() if name not in ("gap", "overlap")}
    dst = {name: rules.get(name) for name in ("gap", "overlap")}
    return {"type": kind, FIELDS[kind]: subject, "dst": dst, **shown}


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = sorted(chain(map(_change, found["clock_changes"]), map(_firing, found["items"])), key=lambda row: row[0])
    say(f"{found['expression']}  in {found['timezone']}")
    print_table(["due", f"in {found['timezone']}", "starts", "note"], [list(row[1:]) for row in rows])
    if found["note"]:
        say(found["note"])
    elif not found["items"]:
        say("it is not due any more")


def _given(values: dict[str, Any]) -> JsonObject:
    """Without what was left out."""
    inner = {key: _given(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in inner.items() if value not in (None, {})}


def _firing(item: dict[str, Any]) -> tuple[str, ...]:
    starts = f"before {moment(item['starts_before'])}" if item["starts_at"] is None else moment(item["starts_at"])
    return item["due_at"], moment(item["due_at"]), _second(item["local"]), starts, "  ".join(_notes(item))


def _notes(item: dict[str, Any]) -> Iterator[str]:
    if item["shift"] is not None:
        yield f"{item['shift']}: {item['note']}"


def _change(change: dict[str, Any]) -> tuple[str, ...]:
    before, after = _second(change["before"]), _second(change["after"])
    return change["at"], moment(change["at"]), "-", "-", f"clocks are set from {before} to {after}"


def _second(iso: str) -> str:
    """A wall clock and its offset, to the second."""
    return f"{iso[:19].replace('T', ' ')}{iso[19:]}"
