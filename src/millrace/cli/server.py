"""Commands about the installation: up, doctor, version."""

from typing import Annotated, Any

import typer

from millrace.cli.connection import EXIT_FAILED, Connection
from millrace.cli.output import print_json, say
from millrace.cli.runs import AsJson, Server

DEEP_SECONDS = 86_400.0
"""How long the server may take to read all artifacts. The round ends when this command does."""


def up() -> None:
    """Start Millrace here: API, engine and worker in one process. Stop it with Ctrl-C."""
    from millrace.cli.main import start_server

    raise typer.Exit(start_server())


def doctor(
    offline: Annotated[
        bool, typer.Option("--offline", help="Look at the file itself; no server may run. As `millrace db check`.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read all artifacts to the end, not only a sample. May take hours.")
    ] = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Check database and artifacts for what cannot be: lost runs, gaps in histories, files that are gone.

    Exit status 1 if anything is found; warnings do not count.
    """
    if offline and deep:
        raise typer.BadParameter("--deep needs a running server: --offline looks at the database file alone")
    if offline:
        from millrace.cli.database import checked

        print_report(checked(), as_json)
        return
    with Connection(server) as connection:
        report = connection.get_slowly("/doctor", silence=DEEP_SECONDS, deep=1) if deep else connection.get("/doctor")
        print_report(report, as_json)


def print_report(report: dict[str, Any], as_json: bool) -> None:
    """What the doctor found; ends the command if that is anything."""
    problems, warnings = report["problems"], report.get("warnings", [])
    if as_json:
        print_json(report)
    else:
        for problem in problems:
            _print_finding(problem["code"], problem)
        for warning in warnings:
            _print_finding(f"warning: {warning['code']}", warning)
        if not problems:
            say(f"{report['checks']} checks, no problems")
    if problems:
        raise typer.Exit(EXIT_FAILED)


def _print_finding(what: str, finding: dict[str, Any]) -> None:
    subject = f" run {finding['run_id']}" if finding.get("run_id") else ""
    say(f"{what}{subject}: {finding['message']}\n  {finding['remedy']}")


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    say(installed("millrace"))
