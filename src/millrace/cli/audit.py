"""Commands about the audit log: list it, write it to a file, and verify that nobody has changed it."""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from millrace.cli.artifacts import written_whole
from millrace.cli.connection import EXIT_FAILED, CommandError, Connection
from millrace.cli.output import counted, moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

STANDARD = "-"
LONGEST = 60
"""Characters of what was changed, in a table."""
WALKING = 3600.0
"""Seconds that the server may take to follow a long chain."""

Entity = Annotated[str | None, typer.Option("--entity", help="Such as workflow, run, user or secret.")]
EntityId = Annotated[str | None, typer.Option("--id", help="Only of this one; of a secret or a connection its name.")]
Actor = Annotated[str | None, typer.Option("--actor", help="E-mail address, id or name of a user; name of a service.")]
Action = Annotated[str | None, typer.Option("--action", help="Such as workflow.deploy, login.fail or run.start.")]
Since = Annotated[str | None, typer.Option("--from", help="Not before: 2026-03-29T01:00:00Z.")]
Until = Annotated[str | None, typer.Option("--to", help="Before: 2026-03-30T00:00:00Z.")]

audit = typer.Typer(help="The audit log, for administrators: who did what, when and from where.", no_args_is_help=True)


@audit.command(name="list")
def list_entries(
    entity: Entity = None,
    entity_id: EntityId = None,
    actor: Actor = None,
    action: Action = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List changes and starts of runs, newest first."""
    with Connection(server) as connection:
        page = connection.first("/audit-logs", limit, **_narrow(entity, entity_id, actor, action, since, until))
    if as_json:
        print_json(page)
        return
    rows = [
        [
            moment(item["at"]),
            item["actor"]["name"],
            item["action"],
            item["entity_name"] or item["entity_id"] or "-",
            item["address"] or "-",
            _changes(item),
        ]
        for item in page["items"]
    ]
    print_table(["at", "who", "action", "what", "from", "changed"], rows)
    if page["next_cursor"] is not None:
        say(f"the newest {limit} are shown; more: --limit, or all: millrace audit export", err=True)


@audit.command()
def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to; - is standard output.", show_default=True)
    ] = Path(STANDARD),
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    entity: Entity = None,
    entity_id: EntityId = None,
    actor: Actor = None,
    action: Action = None,
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    server: Server = None,
) -> None:
    """Write all of it, or what the options narrow it to, newest first: a JSON document a line, or CSV."""
    if str(output) != STANDARD and output.exists() and not force:
        raise CommandError(f"{output} is there already; say --force to write over it")
    narrow = {name: text for name, text in _narrow(entity, entity_id, actor, action, since, until).items() if text}
    path = f"/audit-logs/export?{urlencode({'format': form, **narrow})}"
    with Connection(server) as connection, connection.stream(path) as parts:
        if str(output) == STANDARD:
            for part in parts:
                sys.stdout.buffer.write(part)
            return
        with written_whole(output) as target:
            target.writelines(parts)
    say(str(output))


@audit.command()
def verify(
    head: Annotated[
        str | None, typer.Option("--head", metavar="SEQ:HASH", help="One that was told before; it must be there still.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Verify that nothing was changed, taken away or put in; fails if something was. Tells the head, to be noted."""
    with Connection(server) as connection:
        found = connection.post_slowly("/audit-logs/verify", {"head": head}, silence=WALKING)
    if as_json:
        print_json(found)
    else:
        _tell(found, head)
    if not found["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _tell(found: dict[str, Any], head: str | None) -> None:
    say(f"{counted(found['checked'], 'row')} as sealed")
    if found["erased"]:
        say(f"of {counted(found['erased'], 'row')} of them what was personal was erased")
    if found["begins_after"]:
        say(f"rows up to {found['begins_after']} were deleted by retention")
    if found["unsealed"]:
        say(f"{counted(found['unsealed'], 'row')} not sealed yet")
    if (broken := found["broken"]) is not None:
        say(f"broken at {broken['seq']} ({broken['how']}): {broken['message']}", fg=typer.colors.RED)
    elif found["head_found"] is False:
        lost = f"the head {head} is not in the log: rows were taken off its end, or it is of another log"
        say(lost, fg=typer.colors.RED)
    elif found["head_found"] is None and head is not None:
        say(f"the head {head} is older than the log, and cannot be looked for")
    say(f"head {found['head'] or '-'}")


def _narrow(
    entity: str | None,
    entity_id: str | None,
    actor: str | None,
    action: str | None,
    since: str | None,
    until: str | None,
) -> dict[str, str | None]:
    given = {"entity": entity, "entity_id": entity_id, "actor": actor, "action": action}
    return {**given, "from": since, "to": until}


def _changes(item: dict[str, Any]) -> str:
    before, after = item["before"] or {}, item["after"] or {}
    parts = [
        f"{name}: {_short(before[name])} -> {_short(after[name])}" if name in before and name in after
        else f"{name}: {_short(after.get(name, before.get(name)))}"
        for name in {**before, **after}
        if (before.get(name), after.get(name)) != (None, None)
    ]  # fmt: skip
    text = ", ".join(parts)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _short(value: Any) -> str:
    return "-" if value is None else str(value)
