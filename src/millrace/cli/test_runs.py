"""Commands that try a workflow: test, and dry-run."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from millrace.cli import completion
from millrace.cli.connection import EXIT_FAILED, CommandError, Connection
from millrace.cli.inputs import InputFile, Inputs, Variables, input_schema, parse_input, parse_pairs, read_input
from millrace.cli.json_values import json_value
from millrace.cli.output import counted, json_text, print_json, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, Server
from millrace.cli.starts import given, show_started
from millrace.core.values import JsonObject, JsonValue

VersionToTest = Annotated[
    str | None,
    typer.Option(
        "--version",
        help="Number or tag of a version, or newest; else the deployed one.",
        autocompletion=completion.versions,
    ),
]
Mocks = Annotated[
    list[str] | None,
    typer.Option("--mock", "-m", help="TASK=JSON: the task is not done, and answers this; TASK=@FILE reads it."),
]
Fails = Annotated[
    list[str] | None, typer.Option("--fail", help="TASK=MESSAGE: the task is not done, and fails with this.")
]
Times = Annotated[
    list[str] | None,
    typer.Option("--times", help="TASK=N: only so many attempts fail; then the task answers its --mock."),
]
Only = Annotated[str | None, typer.Option(help="Run this task alone; --mock says what it reads of others.")]
Item = Annotated[str | None, typer.Option(help="JSON, or @FILE: the item of a task in a foreach that runs alone.")]
Index = Annotated[int | None, typer.Option(help="The number of its iteration.", min=0)]
Previous = Annotated[str | None, typer.Option(help="JSON, or @FILE: what the iteration before came to, in a while.")]
VirtualTime = Annotated[
    bool, typer.Option("--virtual-time", help="Sleeps, and delays between attempts, are over at once.")
]
MockOthers = Annotated[bool, typer.Option("--mock-others", help="Nothing is done: other tasks answer null.")]
Iterations = Annotated[int | None, typer.Option(help="Show so many of each foreach; 3 without it.", min=1, max=100)]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="Show the run until it has finished.")]

MARKS: Final = {"runs": "▶", "skipped": "↷", "unknown": "?", "fails": "✘"}
OUTCOMES: Final = {
    "completed": "completes, if all that is not mocked goes well",
    "failed": "fails",
    "unknown": "depends on what is not known before it runs",
}
PARTS: Final = {"tasks": "tasks", "on_failure": "on failure", "finally": "finally"}
LONGEST_LINE: Final = 200


def test(
    workflow: Workflow,
    inputs: Inputs = None,
    input_file: InputFile = None,
    variables: Variables = None,
    mocks: Mocks = None,
    fails: Fails = None,
    times: Times = None,
    only: Only = None,
    item: Item = None,
    index: Index = None,
    previous: Previous = None,
    virtual_time: VirtualTime = False,
    mock_others: MockOthers = False,
    version: VersionToTest = None,
    follow: Follow = True,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Run a workflow with chosen tasks mocked, or one task alone; what is not mocked is really done.

    The exit status is 0 completed, 1 failed, 3 cancelled. The end of a test fires no trigger.
    """
    body: JsonObject = {
        "mocks": mocks_of(mocks or [], fails or [], times or []),
        "variables": parse_pairs("-v", variables or []),
        **given(version=version, only=only, index=index),
        **({} if item is None else {"item": json_value("--item", item)}),
        **({} if previous is None else {"previous": json_value("--previous", previous)}),
        **({"virtual_time": True} if virtual_time else {}),
        **({"others": "mock"} if mock_others else {}),
    }
    whole = read_input(input_file) or {}
    with Connection(server) as connection:
        path = workflow_path(connection, workflow)
        changes = parse_input(inputs or [], lambda: input_schema(connection, path, version))
        started = connection.post(f"{path}/test", {"input": {**whole, **changes}, **body})
        show_started(connection, started, follow, as_json)


def dry_run(
    workflow: Workflow,
    inputs: Inputs = None,
    input_file: InputFile = None,
    variables: Variables = None,
    mocks: Mocks = None,
    fails: Fails = None,
    times: Times = None,
    version: VersionToTest = None,
    iterations: Iterations = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show what a run would do, and do nothing. The exit status is 1 if it is known to fail."""
    body: JsonObject = {
        "mocks": mocks_of(mocks or [], fails or [], times or []),
        "variables": parse_pairs("-v", variables or []),
        **given(version=version, iterations=iterations),
    }
    whole = read_input(input_file) or {}
    with Connection(server) as connection:
        path = workflow_path(connection, workflow)
        changes = parse_input(inputs or [], lambda: input_schema(connection, path, version))
        told = connection.post(f"{path}/dry-run", {"input": {**whole, **changes}, **body})
    if as_json:
        print_json(told)
    else:
        for line in _lines(told):
            say(line)
    if told["outcome"] == "failed":
        raise typer.Exit(EXIT_FAILED)


def mocks_of(outputs: list[str], failures: list[str], times: list[str]) -> JsonObject:
    """What each task comes to, from the options that say so."""
    found: dict[str, JsonObject] = {}
    for task, text in _pairs("--mock", outputs):
        found.setdefault(task, {})["output"] = json_value(f"--mock {task}", text)
    for task, message in _pairs("--fail", failures):
        found.setdefault(task, {})["fail"] = {"message": message}
    for task, count in _pairs("--times", times):
        if not count.isdecimal():
            raise CommandError(f"--times {task}={count}: write a number of attempts")
        found.setdefault(task, {})["times"] = int(count)
    mocks: dict[str, JsonValue] = {**found}
    return mocks


def _pairs(option: str, pairs: list[str]) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        task, found, text = pair.partition("=")
        if not found or not task:
            raise CommandError(f"{option} {pair}: write TASK=…")
        yield task, text


# --- what a dry run tells ---------------------------------------------------------------------------------------------


def _lines(told: dict[str, Any]) -> Iterator[str]:
    why = f": {told['why']}" if told["why"] else ""
    yield f"{told['workflow']['name']} version {told['version']} {OUTCOMES[told['outcome']]}{why}"
    yield f"input  {_short(told['input'])}"
    for part, name in PARTS.items():
        if told[part]:
            yield name
            yield from _of_tasks(told[part], "  ")
    if told["output"] is not None:
        yield f"output  {_short(told['output'])}"
        yield from _unknown(told["unrendered"], "  ")
    for warning in told["warnings"]:
        yield f"warning: {warning}"


def _of_tasks(tasks: list[dict[str, Any]], indent: str) -> Iterator[str]:
    for task in tasks:
        about = [task["type"], *(["mocked"] if task["mocked"] else [])]
        about += [counted(task["items"], "item")] if task["items"] is not None else []
        why = f": {task['why']}" if task["why"] else ""
        yield f"{indent}{MARKS[task['status']]} {task['path']} ({', '.join(about)}) {task['status']}{why}"
        inner = f"{indent}    "
        if isinstance(task["input"], dict):
            for name, value in task["input"].items():
                yield f"{inner}{name}: {_short(value)}"
        yield from _unknown(task["unrendered"], inner)
        if "output" in task:
            yield f"{inner}comes to {_short(task['output'])}"
        for block, listed in task["blocks"].items():
            yield f"{inner}{block}"
            yield from _of_tasks(listed, f"{inner}  ")


def _unknown(unrendered: dict[str, str], indent: str) -> Iterator[str]:
    return (f"{indent}? {place} {why}" for place, why in unrendered.items())


def _short(value: Any) -> str:
    text = json_text(value)
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…"
