"""Commands about artifacts: list, upload, download, delete."""

import hashlib
import mimetypes
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from millrace.cli import completion
from millrace.cli.arguments import an_id
from millrace.cli.connection import EXIT_FAILED, CommandError, Connection
from millrace.cli.consent import Yes, consent
from millrace.cli.output import moment, print_json, print_table, say

Server = Annotated[str | None, typer.Option("--server", help="URL of the server; found by itself if it runs here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ArtifactId = Annotated[
    str,
    typer.Argument(
        help="Id of the artifact.",
        autocompletion=completion.artifacts,
        callback=an_id("an artifact", "millrace artifacts list"),
    ),
]

READ_AT_ONCE = 256 * 1024
STANDARD = "-"

artifacts = typer.Typer(help="Files that tasks wrote or you sent.", no_args_is_help=True)


@artifacts.command(name="list")
def list_artifacts(
    run: Annotated[
        str | None,
        typer.Option("--run", help="Only files that tasks of this run wrote.", autocompletion=completion.runs),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Part of the name.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=200)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List artifacts, newest first."""
    with Connection(server) as connection:
        items = connection.first("/artifacts", limit, run=run, name=name)["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        [item["id"], item["name"], shown_size(item["size"]), item["task"] or "(sent)", moment(item["created_at"])]
        for item in items
    ]
    print_table(["id", "name", "size", "task", "created"], rows)


@artifacts.command()
def upload(
    file: Annotated[str, typer.Argument(help="The file to send; - is standard input.")],
    name: Annotated[str | None, typer.Option(help="Its name there; by default its own.")] = None,
    media_type: Annotated[str | None, typer.Option(help="By default what its name says.")] = None,
    expires_in: Annotated[str, typer.Option(help="How long it is kept: 12h, 30d, or never.")] = "never",
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Send a file; prints its id, which a run's input may name."""
    if name is None and file == STANDARD:
        raise CommandError("standard input has no name: give one with --name")
    shown_name = name or Path(file).name
    kind = media_type or mimetypes.guess_type(shown_name)[0] or "application/octet-stream"
    with Connection(server) as connection, _source(file) as source:
        answer = connection.send_stream(
            "/artifacts", _parts(source), kind, size=_length(source), name=shown_name, expires_in=expires_in
        )
    print_json(answer) if as_json else say(answer["id"])


@artifacts.command()
def download(
    artifact: ArtifactId,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to; - is standard output. By default its own name, here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    server: Server = None,
) -> None:
    """Fetch a file. It takes its place only when it is whole and has the right checksum."""
    with Connection(server) as connection:
        about = connection.get(f"/artifacts/{artifact}")
        if str(output) == STANDARD:
            _fetch(connection, about, sys.stdout.buffer)
            return
        place = output or Path(Path(about["name"]).name)
        if place.exists() and not force:
            raise CommandError(f"{place} is there already; --force writes over it, --output names another")
        with written_whole(place) as target:
            _fetch(connection, about, target)
    say(str(place))


@contextmanager
def written_whole(place: Path) -> Iterator[BinaryIO]:
    """A file that takes its place when the block ends well; else what was there stays."""
    part = place.with_name(f".millrace-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as target:
            yield target
        part.replace(place)
    except OSError as error:
        raise CommandError(f"{place} cannot be written: {error.strerror}", EXIT_FAILED) from None
    finally:
        part.unlink(missing_ok=True)


@artifacts.command()
def delete(artifact: ArtifactId, yes: Yes = False, server: Server = None) -> None:
    """Delete a file. A task that is given it later fails."""
    with Connection(server) as connection:
        about = connection.get(f"/artifacts/{artifact}")
        consent(f"the file {about['name']!r} of {shown_size(about['size'])}", yes=yes)
        connection.delete(f"/artifacts/{artifact}")
    say(f"{about['name']} is deleted")


def _fetch(connection: Connection, about: dict[str, Any], target: BinaryIO) -> None:
    digest = hashlib.sha256()
    with connection.stream(f"/artifacts/{about['id']}/content") as parts:
        for part in parts:
            digest.update(part)
            target.write(part)
    if digest.hexdigest() != about["sha256"]:
        raise CommandError(f"the file {about['id']} did not arrive as it was stored; try again", EXIT_FAILED)


@contextmanager
def _source(file: str) -> Iterator[BinaryIO]:
    if file == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        opened = open(file, "rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
    with opened:
        yield opened


def _parts(source: BinaryIO) -> Iterator[bytes]:
    while part := source.read(READ_AT_ONCE):
        yield part


def _length(source: BinaryIO) -> int | None:
    """Of a plain file, so that one that is too large is refused before it is sent."""
    status = os.fstat(source.fileno())
    return status.st_size if os.path.isfile(source.name) and status.st_size else None


def shown_size(count: int) -> str:
    """Bytes for people."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
