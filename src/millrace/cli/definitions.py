"""Definitions as files: which they are, and whether they are valid. The server alone knows the rules."""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace.cli.arguments import STDIN, a_place
from millrace.cli.connection import EXIT_FAILED, CommandError, Connection, ProblemError
from millrace.cli.output import print_json, say
from millrace.cli.runs import AsJson, Server

SUFFIXES = {".yaml": "application/yaml", ".yml": "application/yaml", ".json": "application/json"}

Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Files, or folders of .yaml, .yml and .json files; - for stdin.", parser=a_place, metavar="PATH"
    ),
]


def validate(paths: Paths, as_json: AsJson = False, server: Server = None) -> None:
    """Check definitions without saving them. Every fault is shown with its place; exit status 1 if there is one."""
    results: list[dict[str, Any]] = []
    with Connection(server) as connection:
        for path in definition_files(paths):
            try:
                answer = send_file(connection, "/workflows/validate", path)
            except ProblemError as error:
                results.append({"file": str(path), "valid": False, "problem": error.problem, "text": str(error)})
            else:
                results.append({"file": str(path), "valid": True, "warnings": answer.get("warnings", [])})
    if as_json:
        print_json([{key: value for key, value in result.items() if key != "text"} for result in results])
    else:
        for result in results:
            say(f"{result['file']}: {'valid' if result['valid'] else result['text']}")
            print_warnings(result.get("warnings", []))
    if not all(result["valid"] for result in results):
        raise typer.Exit(EXIT_FAILED)


def definition_files(paths: list[Path]) -> Iterator[Path]:
    """The files, each once; of a folder all that are not hidden."""
    seen: set[Path] = set()
    for path in paths:
        for file in _files_of(path):
            place = file.resolve()
            if place not in seen:
                seen.add(place)
                yield file


def send_file(connection: Connection, path: str, file: Path) -> Any:
    """Post a file as it is. What comes from stdin is read as YAML, of which JSON is a part."""
    if file == STDIN:
        return connection.send_text("POST", path, _piped(), SUFFIXES[".yaml"])
    return connection.send_text("POST", path, file.read_bytes(), SUFFIXES[file.suffix])


@cache
def _piped() -> bytes:
    """What is piped in, which can be read once only."""
    return sys.stdin.buffer.read()


def print_warnings(warnings: list[Any]) -> None:
    for warning in warnings:
        say(f"  warning: {warning['message'] if isinstance(warning, dict) else warning}")


def _files_of(path: Path) -> list[Path]:
    if path == STDIN:
        return [path]
    if not path.is_dir():
        if path.suffix not in SUFFIXES:
            raise CommandError(f"{path}: a definition is a .yaml, .yml or .json file")
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    shown = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not shown:
        raise CommandError(f"{path} holds no .yaml, .yml or .json file")
    return shown
