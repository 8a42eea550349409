"""Commands about triggers: list, show, enable, disable, firings."""

import json
from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import an_id
from millrace.cli.connection import CommandError, Connection
from millrace.cli.json_values import json_value
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server
from millrace.core.values import JsonObject

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
    for path in (found["webhook"] or {}).get("paths", ()):
        say(f"path      {path}")
    say(f"state     {_state(found)}")
    say(f"next      {_unknown(found) if upcoming is None else _upcoming(upcoming)}")
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
def simulate(
    event: Annotated[str | None, typer.Option(help="JSON of an event, or @FILE with it; @- reads stdin.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Instead: what schedules would fire after this.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="With --from: up to this moment.")] = None,
    workflow: OfWorkflow = None,
    limit: Most = 50,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show which triggers an event would make fire, or what schedules would fire. Nothing is started."""
    if (event is None) == (start is None) or (start is None) != (until is None):
        raise CommandError("give --event, or --from and --until")
    told = {"from": start, "until": until, "workflow": workflow, "limit": limit}
    asked: JsonObject = {name: value for name, value in told.items() if value is not None}
    if event is not None:
        asked["event"] = json_value("--event", event)
    with Connection(server) as connection:
        page = connection.post("/triggers/simulate", asked)
    if as_json:
        print_json(page)
        return
    if event is None:
        print_table(["due", "local", "workflow", "trigger", "shift"], [_scheduled(item) for item in page["items"]])
        if not page["complete"]:
            say("there are more; narrow them by --workflow or --until, or raise --limit")
        return
    print_table(["workflow", "trigger", "would", "because"], [_simulated(item) for item in page["items"]])
    if page["next_cursor"] is not None:
        say("there are more; narrow them by --workflow, or raise --limit")


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


def _scheduled(item: dict[str, Any]) -> list[str]:
    trigger = item["trigger"]
    local = item["local"].replace("T", " ")
    return [moment(item["due_at"]), local, trigger["workflow"]["name"], trigger["name"], item["shift"] or "-"]


def _simulated(item: dict[str, Any]) -> list[str]:
    trigger = item["trigger"]
    would = "not fire" if not item["matches"] else "fail" if item["error"] else "start a run"
    because = "; ".join(refused["message"] for refused in item["refused"]) or item["error"] or "-"
    return [trigger["workflow"]["name"], trigger["name"], would, because]


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
        moment(upcoming["starts_at"]) if upcoming else "(after its run)" if item["awaits_run"] else f"({_state(item)})",
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


def _unknown(found: dict[str, Any]) -> str:
    return f"after the end of run {found['awaits_run']}" if found["awaits_run"] else "-"


def _last(last: dict[str, Any]) -> str:
    return f"{moment(last['at'])}  {last['run_id'] or 'no run'}"


def _what(item: dict[str, Any]) -> str:
    return f"{item['decision']} ({item['count']})" if item["decision"] == "missed" else str(item["decision"])
