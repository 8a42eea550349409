"""Commands about the archive of runs: list, show, get; and the one that puts workflows away, which is called alike.

`millrace archive NAME` is about workflows, as it always was; `show`, `list` and `get` are about runs that were archived
before they were deleted. A workflow of such a name is named by its id, or by `millrace archive workflow NAME`.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from millrace.cli.arguments import an_id
from millrace.cli.artifacts import shown_size, written_whole
from millrace.cli.connection import Connection
from millrace.cli.follow import record_line
from millrace.cli.histories import LEVEL_COLOURS, log_line
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.parts import parts_of
from millrace.cli.runs import AsJson, Server, print_run
from millrace.cli.workflows import archive as archive_workflows

STANDARD = "-"
DEFAULT = "workflow"

ArchivedRun = Annotated[
    str, typer.Argument(help="Id of the run.", callback=an_id("a run", "millrace archive get RUN --family"))
]


class Archive(TyperGroup):
    """What is no command of the group is the name of a workflow."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._completed(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, self._completed(args))

    def _completed(self, args: list[str]) -> list[str]:
        if not args or args[0] in self.commands or args[0] in ("-h", "--help"):
            return args
        return [DEFAULT, *args]


archive = typer.Typer(
    cls=Archive,
    help="Put workflows away, by name; and read runs that were archived before they were deleted.",
    no_args_is_help=True,
)
archive.command(name=DEFAULT)(archive_workflows)


@archive.command(name="list")
def list_archives(
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=200)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List archives, newest first. Each has many runs."""
    with Connection(server) as connection:
        page = connection.first("/archive", limit)
    if as_json:
        print_json(page)
        return
    rows = [
        [
            item["id"],
            moment(item["created_at"]),
            str(item["runs"]),
            moment(item["first_run"]["at"]),
            moment(item["last_run"]["at"]),
            shown_size(item["size"]),
        ]
        for item in page["items"]
    ]
    print_table(["id", "archived", "runs", "first run", "last run", "size"], rows)


@archive.command()
def show(run_id: ArchivedRun, as_json: AsJson = False, server: Server = None) -> None:
    """Show a run that was archived: the run and its tasks, its history, its logs and what files it wrote."""
    with Connection(server) as connection:
        found = connection.get(f"/archive/runs/{run_id}")
        with connection.stream(_path(run_id, family=False)) as parts:
            kinds = groupby(map(json.loads, _lines(parts)), key=lambda line: str(line["kind"]))
            if as_json:
                lists: dict[str, list[Any]] = {name: [] for name in LISTS.values()}
                print_json({**found, **lists, **{LISTS[kind]: list(some) for kind, some in kinds if kind in LISTS}})
                return
            for kind, some in kinds:
                if kind == "task_run":
                    # A version that is gone says no places: then all are null, and the order stays.
                    _print_run(connection, found, in_order(some))
                elif kind in PRINTED:
                    _print_lines(kind, some)


@archive.command()
def get(
    run_id: ArchivedRun,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to; - is standard output.", show_default=True)
    ] = Path(STANDARD),
    family: Annotated[bool, typer.Option("--family", help="Also its retries and sub-runs, or those it is of.")] = False,
    server: Server = None,
) -> None:
    """Write all that the archive has of a run: a JSON document a line."""
    with Connection(server) as connection, connection.stream(_path(run_id, family=family)) as parts:
        if str(output) == STANDARD:
            for part in parts:
                sys.stdout.buffer.write(part)
            return
        with written_whole(output) as target:
            target.writelines(parts)
    say(str(output))


LISTS = {"task_run": "tasks", "attempt": "attempts", "record": "events", "log": "logs", "artifact": "artifacts"}
PRINTED = {"record": "history", "log": "logs", "artifact": "files (their content went with the run)"}


def _path(run_id: str, *, family: bool) -> str:
    return f"/archive/runs/{run_id}/lines{'?family=true' if family else ''}"


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, of which each is small enough for memory."""
    waiting: list[bytes] = []
    for part in parts:
        first, *more = part.split(b"\n")
        waiting.append(first)
        for begun in more:
            yield b"".join(waiting)
            waiting = [begun]


def in_order(tasks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the definition lists them, iteration after iteration: `each[2].load` is the third of `each`."""
    listed = list(tasks)
    places = {task["path"].rpartition(".")[2]: task["place"] or 0 for task in listed}

    def key(task: dict[str, Any]) -> list[int]:
        found: list[int] = []
        for part in task["path"].split("."):
            name, _, index = part.partition("[")
            found += [places.get(name, 0), *([int(index[:-1])] if index else [])]
        return found

    return sorted(listed, key=key)


def _print_run(connection: Connection, found: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    asked = {"by": found["cancelled_by"], "reason": found["cancel_reason"]}
    print_run(found, tasks, parts_of(connection, found), [asked] if found["cancelled_at"] else [])
    say("")
    say(f"archived  {moment(found['archived_at'])}")


def _print_lines(kind: str, some: Iterable[dict[str, Any]]) -> None:
    say("")
    say(PRINTED[kind])
    for line in some:
        if kind == "artifact":
            say(f"  {line['name']}  {shown_size(line['size'])}  sha256 {line['sha256']}")
        else:
            text = record_line(line) if kind == "record" else log_line(line)
            say(f"  {text}", fg=LEVEL_COLOURS.get(line.get("level", "")))
