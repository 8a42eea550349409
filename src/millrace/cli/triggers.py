"""Commands about triggers: list, show, enable, disable, firings."""

import json
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import an_id
from millrace.cli.connection import Connection
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

TriggerId = Annotated[
    str,
    typer.Argument(
        help="Id of the trigger; `millrace triggers` shows it.",
        autocompletion=completion.triggers,
        callback=an_id("a trigger", "millrace triggers"),
    ),
]
OfWorkflow = Annotated[
    str | None,
    typer.Option("--workflow", "-w", help="Only triggers of this workflow.", autocompletion=completion.workflows),
]
OfType = Annotated[str | None, typer.Option("--type", "-t", help="Only triggers of this type.")]
Overdue = Annotated[bool, typer.Option("--overdue", help="Only schedules that should have fired and did not.")]
Most = Annotated[int, typer.Option(help="At most so many.", min=1, max=200)]

triggers = typer.Typer(help="Triggers: what starts runs, when next, and what came of it.")


@triggers.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    workflow: OfWorkflow = None,
    type_: OfType = None,
    overdue: Overdue = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the triggers; the same as `millrace triggers list`."""
    if context.invoked_subcommand is None:
        list_triggers(workflow, type_, overdue, as_json, server)


@triggers.command(name="list")
def list_triggers(
    workflow: OfWorkflow = None,
    type_: OfType = None,
    overdue: Overdue = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the triggers with their next and last firing."""
    with Connection(server) as connection:
        found = list(connection.pages("/triggers", workflow=workflow, type=type_, overdue="true" if overdue else None))
    if as_json:
        print_json(found)
        return
    columns = ["id", "workflow", "trigger", "type", "next", "last", "fired", "failed", "missed"]
    print_table(columns, [_row(item) for item in found])


@triggers.command()
def show(trigger_id: TriggerId, as_json: AsJson = False, server: Server = None) -> None:
    """Show a trigger: when it fires, when it did, and why it does not."""
    with Connection(server) as connection:
        found = connection.get(f"/triggers/{trigger_id}")
    if as_json:
        print_json(found)
        return
    upcoming, last, counts = found["next_firing"], found["last_firing"], found["counts"]
    say(f"trigger   {found['id']}")
    say(f"name      {found['name']} of {found['workflow']['name']}")
    say(f"type      {found['type']}  {json.dumps(found['config'], ensure_ascii=False)}")
    say(f"state     {_state(found)}")
    say(f"next      {'-' if upcoming is None else _upcoming(upcoming)}")
    say(f"last      {'-' if last is None else _last(last)}")
    if found["last_error"]:
        say(f"error     {found['last_error']}")
    say(f"counts    {'  '.join(f'{name} {count}' for name, count in counts.items())}")


@triggers.command()
def enable(trigger_id: TriggerId, as_json: AsJson = False, server: Server = None) -> None:
    """Let a trigger fire from now on; what was due while it was silent does not fire."""
    _switch(trigger_id, "enable", as_json, server)


@triggers.command()
def disable(trigger_id: TriggerId, as_json: AsJson = False, server: Server = None) -> None:
    """Silence a trigger until it is enabled again."""
    _switch(trigger_id, "disable", as_json, server)


@triggers.command()
def firings(
    trigger_id: TriggerId,
    decision: Annotated[
        str | None, typer.Option("--decision", "-d", help="started, skipped, refused, missed or failed.")
    ] = None,
    limit: Most = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List what became of each time a trigger fired, newest first."""
    with Connection(server) as connection:
        page = connection.first(f"/triggers/{trigger_id}/firings", limit, decision=decision)
    if as_json:
        print_json(page)
        return
    rows = [
        [moment(item["due_at"]), moment(item["at"]), _what(item), item["run_id"] or "-", (item["reason"] or "")[:100]]
        for item in page["items"]
    ]
    print_table(["due", "decided", "decision", "run", "reason"], rows)


def _switch(trigger_id: str, action: str, as_json: bool, server: str | None) -> None:
    with Connection(server) as connection:
        found = connection.post(f"/triggers/{trigger_id}/{action}")
    print_json(found) if as_json else say(f"{found['name']} of {found['workflow']['name']}: {_state(found)}")


def _row(item: dict[str, Any]) -> list[str]:
    upcoming, last, counts = item["next_firing"], item["last_firing"], item["counts"]
    return [
        item["id"],
        item["workflow"]["name"],
        item["name"],
        item["type"],
        moment(upcoming["starts_at"]) if upcoming else f"({_state(item)})",
        moment(last["at"]) if last else "-",
        *(str(counts[name]) for name in ("fired", "failed", "missed")),
    ]


def _state(item: dict[str, Any]) -> str:
    if item["silent_because"]:
        return f"silent: {item['silent_because'].replace('_', ' ')}"
    return "overdue" if item["overdue"] else "active"


def _upcoming(upcoming: dict[str, Any]) -> str:
    due, local = moment(upcoming["due_at"]), upcoming["local"].replace("T", " ")
    there = "" if local == due else f", {local} in {upcoming['timezone']}"
    late = "" if upcoming["starts_at"] == upcoming["due_at"] else f"; starts {moment(upcoming['starts_at'])}"
    return f"{due}{there}{late}"


def _last(last: dict[str, Any]) -> str:
    return f"{moment(last['at'])}  {last['run_id'] or 'no run'}"


def _what(item: dict[str, Any]) -> str:
    return f"{item['decision']} ({item['count']})" if item["decision"] == "missed" else str(item["decision"])
