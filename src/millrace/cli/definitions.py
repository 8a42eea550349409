"""Commands about definitions: validate and apply. Both send files as they are; the server alone knows the rules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace.cli.connection import EXIT_FAILED, CommandError, Connection, ProblemError
from millrace.cli.output import print_json
from millrace.cli.runs import AsJson, Server

SUFFIXES = {".yaml": "application/yaml", ".yml": "application/yaml", ".json": "application/json"}

Paths = Annotated[list[Path], typer.Argument(help="Files, or folders of .yaml, .yml and .json files.", exists=True)]


def validate(paths: Paths, as_json: AsJson = False, server: Server = None) -> None:
    """Check definitions without saving them. Every fault is shown with its place; exit status 1 if there is one."""
    results: list[dict[str, Any]] = []
    with Connection(server) as connection:
        for path in definition_files(paths):
            try:
                answer = connection.send_text("POST", "/workflows/validate", path.read_bytes(), SUFFIXES[path.suffix])
            except ProblemError as error:
                results.append({"file": str(path), "valid": False, "problem": error.problem, "text": str(error)})
            else:
                results.append({"file": str(path), "valid": True, "warnings": answer.get("warnings", [])})
    if as_json:
        print_json([{key: value for key, value in result.items() if key != "text"} for result in results])
    else:
        for result in results:
            typer.echo(f"{result['file']}: {'valid' if result['valid'] else result['text']}")
            _print_warnings(result.get("warnings", []))
    if not all(result["valid"] for result in results):
        raise typer.Exit(EXIT_FAILED)


def apply(
    paths: Annotated[list[Path], typer.Option("--file", "-f", help="File or folder; may be repeated.", exists=True)],
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Create or update workflows from files. Applying the same file twice changes nothing."""
    results: list[dict[str, Any]] = []
    failed = False
    with Connection(server) as connection:
        for path in definition_files(paths):
            try:
                results.append({"file": str(path), **_apply_file(connection, path)})
            except ProblemError as error:
                failed = True
                results.append({"file": str(path), "outcome": "refused", "problem": error.problem, "text": str(error)})
    if as_json:
        print_json([{key: value for key, value in result.items() if key != "text"} for result in results])
    else:
        for result in results:
            what = result.get("text") or f"{result['name']} version {result['version']}"
            typer.echo(f"{result['outcome']:<9} {result['file']}: {what}")
            _print_warnings(result.get("warnings", []))
    if failed:
        raise typer.Exit(EXIT_FAILED)


def definition_files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
            if not found:
                raise CommandError(f"{path} holds no .yaml, .yml or .json file")
            yield from found
        elif path.suffix in SUFFIXES:
            yield path
        else:
            raise CommandError(f"{path}: a definition is a .yaml, .yml or .json file")


def _apply_file(connection: Connection, path: Path) -> dict[str, Any]:
    """Let the server read the name, then create the workflow or replace its definition."""
    body, media_type = path.read_bytes(), SUFFIXES[path.suffix]
    checked = connection.send_text("POST", "/workflows/validate", body, media_type)
    name = checked["definition"]["name"]
    before = _existing(connection, name)
    if before is None:
        after, outcome = connection.send_text("POST", "/workflows", body, media_type), "created"
    else:
        after = connection.send_text("PUT", f"/workflows/{before['id']}?replace=true", body, media_type)
        outcome = "unchanged" if after["updated_at"] == before["updated_at"] else "updated"
    return {"outcome": outcome, "name": name, "version": after["version"], "warnings": after.get("warnings", [])}


def _existing(connection: Connection, name: str) -> dict[str, Any] | None:
    return next((item for item in connection.pages("/workflows", name=name) if item["name"] == name), None)


def _print_warnings(warnings: list[Any]) -> None:
    for warning in warnings:
        typer.echo(f"  warning: {warning['message'] if isinstance(warning, dict) else warning}")
