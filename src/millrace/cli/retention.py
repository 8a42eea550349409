"""Commands about retention: what is kept how long, what would go, and letting it go."""

import time
from typing import Annotated, Any

import typer

from millrace.cli.connection import EXIT_FAILED, CommandError, Connection
from millrace.cli.consent import Yes, consent
from millrace.cli.output import counted, moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

ASK_AGAIN = 0.5
COUNTED = ("runs", "payloads", "firings", "events", "operations", "incarnations", "archives")
"""What is told of a round: plurals that lose their last letter for one."""

retention = typer.Typer(help="How long runs and their data are kept.", no_args_is_help=True)


@retention.command()
def show(as_json: AsJson = False, server: Server = None) -> None:
    """Show what is kept how long, and what the last round deleted."""
    with Connection(server) as connection:
        found = connection.get("/retention")
    if as_json:
        print_json(found)
        return
    everyone = {**found, "name": "(all others)" if found["workflows"] else "(all)"}
    rows = [
        [item["name"], item["payloads"], item["runs"], "yes" if item["archive"] else "no"]
        for item in [*found["workflows"], everyone]
    ]
    print_table(["workflow", "payloads and logs", "runs", "archived"], rows)
    if found["archives"] != "never":
        say(f"archives: {found['archives']}")
    for name in ("current_round", "last_round"):
        if found[name] is not None:
            say(f"{name.replace('_', ' ')}: {_told(found[name])}")


@retention.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the end.")] = True,
    yes: Yes = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Delete now what has been kept long enough. Running work goes on meanwhile."""
    with Connection(server) as connection:
        if not dry_run and not yes:
            found = connection.post("/retention/run", {"dry_run": True})
            consent(_going(found), yes=yes, instead=", or --dry-run to see more")
        answer = connection.post("/retention/run", {"dry_run": dry_run})
        if not dry_run and wait:
            answer = _ended(connection, answer["round"])
    if as_json:
        print_json(answer)
    elif dry_run:
        _print_preview(answer)
    else:
        say(_told(answer if wait else answer["round"]))
    if not dry_run and wait and answer["error"]:
        raise typer.Exit(EXIT_FAILED)


def _ended(connection: Connection, begun: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a round."""
    while True:
        found = connection.get("/retention")
        last: dict[str, Any] | None = found["last_round"]
        if last is not None and last["id"] == begun["id"]:
            return last
        if found["current_round"] is None or found["current_round"]["id"] != begun["id"]:
            raise CommandError("the round was cut short; the next one goes on with it", EXIT_FAILED)
        time.sleep(ASK_AGAIN)


def _print_preview(found: dict[str, Any]) -> None:
    rows = [
        [
            item["name"],
            item["kept"]["payloads"],
            item["kept"]["runs"],
            str(item["payloads"]),
            str(item["runs"]),
            "yes" if item["kept"]["archive"] else "no",
        ]
        for item in found["workflows"]
    ]
    if rows:
        print_table(["workflow", "payloads kept", "runs kept", "payloads to go", "runs to go", "archived"], rows)
    say(f"would delete {_going(found)}")
    kinds = ("operations", "incarnations", "archives")
    left = ", ".join(counted(found[name], name[:-1]) for name in kinds if found[name])
    if left:
        say(f"would delete {left}")


def _going(found: dict[str, Any]) -> str:
    before = f" ({found['archived']} archived before)" if found["archived"] else ""
    return f"{counted(found['runs'], 'run')}{before}, and payloads and logs of {found['payloads']} more"


def _told(round_: dict[str, Any]) -> str:
    counts = ", ".join(counted(round_[name], name[:-1]) for name in COUNTED if round_[name]) or "nothing"
    before = f", {counted(round_['archived'], 'run')} archived before" if round_["archived"] else ""
    ended = f"ended {moment(round_['finished_at'])}" if round_["finished_at"] else "under way"
    trouble = f"; not all was done: {round_['error']}" if round_["error"] else ""
    return f"{counts} deleted{before}, {ended}{trouble}"
