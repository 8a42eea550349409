"""`millrace apply`: workflows as the files say. First everything is tried without doing it, then it is done.

    files → dry run (names, faults, differences) → what is gone → consent → apply → delete

Only what an earlier apply of the same source made or adopted is ever deleted, and nothing while any file is faulty: the
workflow of a faulty file looks as if it were gone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from millrace.cli.arguments import a_place
from millrace.cli.connection import EXIT_FAILED, CommandError, Connection, ProblemError
from millrace.cli.consent import Yes, consent
from millrace.cli.definitions import definition_files, print_warnings, send_file
from millrace.cli.differences import print_differences
from millrace.cli.output import print_json, say
from millrace.cli.references import workflows_told
from millrace.cli.runs import AsJson, Server

Result = dict[str, Any]


@dataclass(slots=True)
class Plan:
    """What is to be done: a result for each file, and the workflows whose files are gone."""

    results: list[Result] = field(default_factory=list)
    gone: list[Result] = field(default_factory=list)

    @property
    def faulty(self) -> bool:
        return any(result["outcome"] == "faulty" for result in self.results)


def apply(
    paths: Annotated[
        list[Path],
        typer.Option(
            "--file", "-f", help="File or folder, - for stdin; may be repeated.", parser=a_place, metavar="PATH"
        ),
    ],
    source: Annotated[
        str | None, typer.Option(help="Where the files come from, for example the name of a repository.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete workflows that belong to this source and have no file now.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Create or update workflows from files. Applying the same files twice changes nothing. Exit status 1 if a file is
    faulty; the others are applied all the same."""
    if prune and source is None:
        raise CommandError("--prune needs --source NAME: only workflows that belong to that source are deleted")
    with Connection(server) as connection:
        plan = _planned(connection, list(definition_files(paths)), source, prune=prune)
        if not dry_run:
            _consent(plan.gone, yes=yes)
            plan.results = [_done(connection, result, source) for result in plan.results]
            if plan.faulty:
                plan.gone = []
            for result in plan.gone:
                _delete(connection, result, source)
    if as_json:
        print_json([{key: value for key, value in result.items() if key != "text"} for result in _all(plan)])
    else:
        _print(plan, prune=prune, dry_run=dry_run)
    if any(result["outcome"] == "faulty" for result in _all(plan)):
        raise typer.Exit(EXIT_FAILED)


def _planned(connection: Connection, files: list[Path], source: str | None, *, prune: bool) -> Plan:
    plan, places = Plan(), dict[str, str]()
    for file in files:
        result = _sent(connection, file, source, dry_run=True)
        first = places.setdefault(result["name"], str(file)) if "name" in result else str(file)
        if first != str(file):
            text = f"the workflow {result['name']!r} is also in {first}; names are unique"
            result = {"file": str(file), "outcome": "faulty", "problem": {"detail": text}, "text": text}
        plan.results.append(result)
    if prune and not plan.faulty:
        plan.gone = [
            {"file": None, "outcome": "deleted", "name": item["name"], "id": item["id"], "version": item["version"]}
            for item in connection.pages("/workflows", source=source)
            if item["name"] not in places
        ]
    return plan


def _sent(connection: Connection, file: Path, source: str | None, *, dry_run: bool) -> Result:
    query = {"dry_run": "true"} if dry_run else {}
    if source is not None:
        query["source"] = source
    return _tried(str(file), lambda: send_file(connection, f"/workflows/apply?{urlencode(query)}", file))


def _tried(place: str | None, work: Callable[[], Any]) -> Result:
    """The answer, or what is wrong with the file. An error that no file can help ends the command."""
    try:
        return {"file": place, **work()}
    except ProblemError as error:
        if error.http_status in (401, 403, 503):
            raise
        return {"file": place, "outcome": "faulty", "problem": error.problem, "text": str(error)}


def _done(connection: Connection, planned: Result, source: str | None) -> Result:
    if planned["outcome"] in ("faulty", "unchanged"):
        return planned
    return _sent(connection, Path(planned["file"]), source, dry_run=False)


def _delete(connection: Connection, result: Result, source: str | None) -> None:
    """The server compares the source once more: the workflow may have been applied from elsewhere meanwhile."""
    query = urlencode({"source": source or ""})
    answer = _tried(None, lambda: connection.delete(f"/workflows/{result['id']}?{query}") or {})
    result.update({key: value for key, value in answer.items() if key != "file"})


def _consent(gone: list[Result], *, yes: bool) -> None:
    """Ask before anything is done."""
    if gone:
        consent(workflows_told(gone), yes=yes, instead=", or --dry-run to see more")


def _all(plan: Plan) -> list[Result]:
    return [*plan.results, *plan.gone]


def _print(plan: Plan, *, prune: bool, dry_run: bool) -> None:
    for result in _all(plan):
        place = f"{result['file']}: " if result["file"] else ""
        told = result.get("text") or f"{result['name']} version {result['version']}{_state(result)}"
        say(f"{result['outcome']:<9} {place}{told}")
        if dry_run and result.get("changes"):
            print_differences(result["changes"], indent="  ")
        print_warnings(result.get("warnings", []))
    if dry_run:
        say("nothing was changed: this was a dry run")
    if prune and plan.faulty:
        say("nothing was deleted, since a file is faulty")


def _state(result: Result) -> str:
    """What else changed, and what is in the way of its running, if anything is."""
    now, before = result, result.get("before")
    notes = []
    if before and before["status"] != now["status"]:
        notes.append(f"{before['status']} -> {now['status']}")
    elif now.get("status", "active") != "active":
        notes.append(now["status"])
    if "deployed_version" in now and now["deployed_version"] != now["version"]:
        deployed = now["deployed_version"]
        notes.append("not deployed" if deployed is None else f"version {deployed} is deployed")
    if before and before["source"] != now["source"]:
        notes.append(f"belongs to {now['source']} now, before to {before['source'] or 'no source'}")
    return f" ({', '.join(notes)})" if notes else ""
