"""Commands about the installation: up, doctor, version."""

from typing import Annotated, Any

import typer

from millrace.cli.connection import EXIT_FAILED, Connection
from millrace.cli.output import print_json
from millrace.cli.runs import AsJson, Server


def up() -> None:
    """Start Millrace here: API, engine and worker in one process. Stop it with Ctrl-C."""
    from millrace.cli.main import start_server

    raise typer.Exit(start_server())


def doctor(
    offline: Annotated[
        bool, typer.Option("--offline", help="Look at the file itself; no server may run. As `millrace db check`.")
    ] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Check the database for anything that cannot be: lost runs, gaps in histories, orphans. Exit status 1 if found."""
    if offline:
        from millrace.cli.database import checked

        print_report(checked(), as_json)
        return
    with Connection(server) as connection:
        print_report(connection.get("/doctor"), as_json)


def print_report(report: dict[str, Any], as_json: bool) -> None:
    """What the doctor found; ends the command if that is anything."""
    problems = report["problems"]
    if as_json:
        print_json(report)
    elif not problems:
        typer.echo(f"{report['checks']} checks, no problems")
    else:
        for problem in problems:
            subject = f" run {problem['run_id']}" if problem.get("run_id") else ""
            typer.echo(f"{problem['code']}{subject}: {problem['message']}\n  {problem['remedy']}")
    if problems:
        raise typer.Exit(EXIT_FAILED)


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("millrace"))
