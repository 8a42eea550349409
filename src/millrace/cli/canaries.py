"""Commands about canaries: try a version out on a share of the triggered runs, and see how both versions do."""

from itertools import islice
from typing import Annotated, Any

import typer

from millrace.cli.arguments import an_id
from millrace.cli.connection import Connection, ProblemError
from millrace.cli.output import length, moment, name_of, print_json, print_table, say
from millrace.cli.references import Workflow, workflow_path
from millrace.cli.runs import AsJson, Server
from millrace.cli.versions import Version
from millrace.cli.workflows import Comment

Share = Annotated[float, typer.Option(help="Percent of the runs that triggers start, from 0.01 to 99.99.")]
OfCanary = Annotated[
    str | None,
    typer.Option(
        "--id",
        help="Id of another than the last one; `millrace canary list` shows it.",
        callback=an_id("a canary", "millrace canary list WORKFLOW"),
    ),
]
Most = Annotated[int, typer.Option("--limit", help="At most so many, the newest first.", min=1)]

SIDES = ("stable", "canary")
COUNTS = ("total", "completed", "failed", "cancelled", "unfinished")

canary = typer.Typer(help="Canaries: a second version on a share of the triggered runs.", no_args_is_help=True)


@canary.command(name="set")
def set_canary(
    workflow: Workflow, version: Version, share: Share, as_json: AsJson = False, server: Server = None
) -> None:
    """Let a version take a share of the runs that triggers start; again with the same version changes the share."""
    with Connection(server) as connection:
        path = f"{workflow_path(connection, workflow)}/canary"
        found = connection.put(path, {"version": version, "share": share})
    if as_json:
        print_json(found)
    else:
        say(_told(found))


@canary.command()
def show(workflow: Workflow, canary_id: OfCanary = None, as_json: AsJson = False, server: Server = None) -> None:
    """Show both versions side by side: what became of their runs since the last canary began, and until it ended."""
    with Connection(server) as connection:
        found = _shown(connection, workflow_path(connection, workflow), canary_id)
    if as_json:
        print_json(found)
        return
    say(_told(found))
    outcomes = found["outcomes"]
    columns = ["", "version", "runs", *COUNTS[1:], "failure rate", "p50", "p95"]
    print_table(columns, [_row(side, outcomes[side]) for side in SIDES])
    for side in (outcomes[side] for side in SIDES if outcomes[side]["last_failure"]):
        failure = side["last_failure"]
        say(f"version {side['version']} failed last in run {failure['run_id']}: {failure['message'] or '-'}")
    if not outcomes["complete"]:
        say(f"only the newest {outcomes['looked_at']} runs of the workflow were looked at")


@canary.command(name="list")
def list_canaries(workflow: Workflow, limit: Most = 50, as_json: AsJson = False, server: Server = None) -> None:
    """List the canaries of a workflow, newest first, and how they ended."""
    with Connection(server) as connection:
        path = f"{workflow_path(connection, workflow)}/canaries"
        found = list(islice(connection.pages(path), limit))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            one["id"],
            str(one["version"]),
            str(one["stable"]),
            _percent(one["share"]),
            moment(one["since"]),
            name_of(one["started_by"]),
            one["outcome"] or "live",
            moment(one["ended_at"]),
            name_of(one["ended_by"]),
        ]
        for one in found
    ]
    print_table(["id", "version", "beside", "share", "since", "by", "outcome", "ended", "by"], rows)


@canary.command()
def promote(workflow: Workflow, comment: Comment = None, as_json: AsJson = False, server: Server = None) -> None:
    """Deploy the version that is the canary: it takes all runs from now on."""
    with Connection(server) as connection:
        answer = connection.post(f"{workflow_path(connection, workflow)}/canary/promote", {"comment": comment})
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['workflow']['name']}: version {answer['version']['number']} is deployed")


@canary.command()
def stop(workflow: Workflow, as_json: AsJson = False, server: Server = None) -> None:
    """End the trial: the deployed version takes all triggered runs again. Runs under way go on."""
    with Connection(server) as connection:
        found = connection.delete(f"{workflow_path(connection, workflow)}/canary")
    if as_json:
        print_json(found)
    else:
        say(_told(found))


def _shown(connection: Connection, path: str, canary_id: str | None) -> dict[str, Any]:
    """The canary with this id, else the one under way, else the last one that has ended."""
    if canary_id is None:
        try:
            live: dict[str, Any] = connection.get(f"{path}/canary")
            return live
        except ProblemError as error:
            last = connection.get(f"{path}/canaries", limit=1)["items"] if _is_none(error) else []
            if not last:
                raise
            canary_id = last[0]["id"]
    found: dict[str, Any] = connection.get(f"{path}/canaries/{canary_id}")
    return found


def _is_none(error: ProblemError) -> bool:
    return error.problem.get("code") == "canary_not_found"


def _told(found: dict[str, Any]) -> str:
    share = f"{_percent(found['share'])} of the triggered runs"
    name, version, stable = found["workflow"]["name"], found["version"], found["stable"]
    if found["outcome"] is None:
        since = moment(found["since"])
        return f"{name}: version {version} takes {share} beside version {stable}, since {since}"
    ended = f"{found['outcome']} {moment(found['ended_at'])}"
    return f"{name}: version {version} took {share} beside version {stable}, {ended}"


def _row(side: str, found: dict[str, Any]) -> list[str]:
    rate, took = found["failure_rate"], found["duration_ms"]
    return [
        side,
        str(found["version"]),
        *(str(found[name]) for name in COUNTS),
        "-" if rate is None else _percent(round(rate * 100, 2)),
        *(["-", "-"] if took is None else [length(took["p50"] / 1000), length(took["p95"] / 1000)]),
    ]


def _percent(share: float) -> str:
    return f"{share:g} %"
