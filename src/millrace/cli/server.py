"""Commands about the installation: up, doctor, version."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace.cli.connection import EXIT_FAILED, SILENCE_SECONDS, CommandError, Connection
from millrace.cli.output import print_json, progress, say, shows_progress
from millrace.cli.runs import AsJson, Server

PROGRESS = "application/x-ndjson"
DEEP_SECONDS = 86_400.0
"""How long the server may take to read all artifacts. The round ends when this command does."""


Host = Annotated[str | None, typer.Option(help="Address to listen on; wins over MILLRACE_HOST.")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65_535, help="Port to listen on, 0 for a free one; wins over MILLRACE_PORT."),
]

TlsCert = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Certificate to speak HTTPS with; wins over MILLRACE_TLS_CERT.")
]
TlsKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The key of that certificate; wins over MILLRACE_TLS_KEY.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


def main(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Authorities of servers with HTTPS, as PEM; wins over MILLRACE_CA."),
    ] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="As after the command that it is for; wins over MILLRACE_URL.")
    ] = None,
) -> None:
    """Millrace: durable workflows on your own machine. Start with `millrace up`."""
    if ca is not None:
        os.environ["MILLRACE_CA"] = str(ca)
    if server is not None:
        os.environ["MILLRACE_URL"] = server


def up(host: Host = None, port: Port = None, tls_cert: TlsCert = None, tls_key: TlsKey = None) -> None:
    """Start Millrace here: API, engine and worker in one process. Stop it with Ctrl-C.

    Settings are variables, such as MILLRACE_HOME and MILLRACE_PORT; `millrace settings` lists them all.
    """
    from millrace.cli.main import start_server

    raise typer.Exit(start_server("up", **_listening(host, port, tls_cert, tls_key)))


def api(host: Host = None, port: Port = None, tls_cert: TlsCert = None, tls_key: TlsKey = None) -> None:
    """Start the part that answers HTTP. Needs PostgreSQL, a scheduler and workers."""
    from millrace.cli.main import start_server

    raise typer.Exit(start_server("api", **_listening(host, port, tls_cert, tls_key)))


def _listening(host: str | None, port: int | None, tls_cert: Path | None, tls_key: Path | None) -> dict[str, object]:
    """The settings that the options replace."""
    if host is not None and not host.strip():
        raise typer.BadParameter("write an address, such as 127.0.0.1", param_hint="--host")
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key belong together")
    files = {
        name: file and file.expanduser().absolute() for name, file in (("tls_cert", tls_cert), ("tls_key", tls_key))
    }
    given: dict[str, object] = {"host": host, "port": port, **files}
    return {name: value for name, value in given.items() if value is not None}


def scheduler() -> None:
    """Start the part that watches the time: schedules, timers, limits, dead workers, retention. Needs PostgreSQL."""
    from millrace.cli.main import start_server

    raise typer.Exit(start_server("scheduler"))


def worker(
    queue: Annotated[
        list[str] | None,
        typer.Option(help="Run the tasks of this queue only; may be given several times. Without it every queue."),
    ] = None,
    slots: Annotated[int | None, typer.Option(min=1, max=10_000, help="Tasks that run at the same time.")] = None,
) -> None:
    """Start the part that runs tasks. Needs PostgreSQL.

    The options win over MILLRACE_WORKER_QUEUES and MILLRACE_WORKER_SLOTS.
    """
    from millrace.cli.main import start_server

    changed: dict[str, object] = {}
    if queue:
        changed["worker_queues"] = tuple(dict.fromkeys(_queue(name) for name in queue))
    if slots is not None:
        changed["worker_slots"] = slots
    raise typer.Exit(start_server("worker", **changed))


def _queue(name: str) -> str:
    if not name.strip():
        raise typer.BadParameter("a queue has a name, or is * for every queue", param_hint="--queue")
    return name.strip()


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
        print_report(_report(connection, deep=deep), as_json)


def _report(connection: Connection, *, deep: bool) -> Any:
    silence, wanted = (DEEP_SECONDS, 1) if deep else (SILENCE_SECONDS, None)
    if not shows_progress():
        return connection.get_slowly("/doctor", silence=silence, deep=wanted)
    headers = {"Accept": PROGRESS}
    with connection.lines("/doctor", headers=headers, silence=silence, deep=wanted) as lines, progress() as show:
        for line in map(json.loads, lines):
            if "answer" in line:
                return line["answer"]
            show(told(**line["progress"]))
    raise CommandError(f"{connection.url} broke off in the middle; its log says why", EXIT_FAILED)


def told(check: str, number: int, of: int) -> str:
    """A check that begins, for those who wait."""
    return f"check {number} of {of}: {check}"


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
