"""Commands about webhooks: list, create, show, delete. Secrets are named, never given: `millrace secrets set`."""

from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.arguments import an_id
from millrace.cli.connection import CommandError, Connection
from millrace.cli.consent import Yes, consent
from millrace.cli.definitions import print_warnings
from millrace.cli.inputs import parse_pairs
from millrace.cli.output import moment, print_json, print_table, say
from millrace.cli.runs import AsJson, Server

WebhookId = Annotated[
    str,
    typer.Argument(
        help="Id of the webhook; `millrace webhooks` shows it.",
        autocompletion=completion.webhooks,
        callback=an_id("a webhook", "millrace webhooks"),
    ),
]
OfWorkflow = Annotated[
    str | None,
    typer.Option("--workflow", "-w", help="Only webhooks of this workflow.", autocompletion=completion.workflows),
]

PRESETS = ("github", "stripe", "slack", "generic")
WAYS = ("none", "api_key", *PRESETS)
"""What `--auth` takes; all else is said in a definition or over the API."""

webhooks = typer.Typer(help="Webhooks: addresses of workflows that others call.")


@webhooks.callback(invoke_without_command=True)
def default(
    context: typer.Context, workflow: OfWorkflow = None, as_json: AsJson = False, server: Server = None
) -> None:
    """List the webhooks; the same as `millrace webhooks list`."""
    if context.invoked_subcommand is None:
        list_webhooks(workflow, as_json, server)


@webhooks.command(name="list")
def list_webhooks(workflow: OfWorkflow = None, as_json: AsJson = False, server: Server = None) -> None:
    """List the webhooks, also those of definitions."""
    with Connection(server) as connection:
        found = list(connection.pages("/webhooks", workflow=workflow))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            item["id"],
            item["workflow"]["name"],
            item["name"],
            " ".join(item["methods"]),
            item["url_path"] or "-",
            _way(item["authentication"]),
            _state(item),
            str(item["counts"]["started"]),
        ]
        for item in found
    ]
    print_table(["id", "workflow", "webhook", "methods", "path", "auth", "state", "started"], rows)


@webhooks.command()
def create(
    workflow: Annotated[
        str, typer.Argument(help="Id, name or slug of the workflow.", autocompletion=completion.workflows)
    ],
    path: Annotated[
        str | None, typer.Option(help="What stands behind /webhook/; without it one that nobody can guess is made.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option("--method", "-m", help="GET, POST, …; POST by default.")] = None,
    auth: Annotated[str, typer.Option(help=f"Who may call: {', '.join(WAYS)}.")] = "none",
    secret: Annotated[
        str | None,
        typer.Option(help="Name of the secret that the others know, too.", autocompletion=completion.secrets),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", help="name=value: a header that requests must have.")
    ] = None,
    event_type: Annotated[str | None, typer.Option(help="What its requests are about: trigger.event_type.")] = None,
    respond: Annotated[str, typer.Option(help="immediately, or output: with the output of the run.")] = "immediately",
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="key=value of the runs' input, such as day={{ trigger.body.day }}."),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Make a webhook of a workflow, beside its definition."""
    body: dict[str, Any] = {
        "workflow_id": workflow,
        "respond": respond,
        "authentication": _authentication(auth, secret),
    }
    given = {"url_path": path, "methods": method, "event_type": event_type}
    body |= {name: value for name, value in given.items() if value}
    body |= {"headers": _pairs(header or [])}
    body |= {"input": parse_pairs("--input", inputs or [])}
    with Connection(server) as connection:
        made = connection.post("/webhooks", body)
        where = f"{connection.url}{made['url_path']}"
    if as_json:
        print_json(made)
        return
    say(f"webhook {made['id']} of {made['workflow']['name']}")
    say(f"it takes {' and '.join(made['methods'])} at {where}")
    print_warnings(made.get("warnings", []))


@webhooks.command()
def show(webhook_id: WebhookId, server: Server = None) -> None:
    """Show a webhook as JSON."""
    with Connection(server) as connection:
        print_json(connection.get(f"/webhooks/{webhook_id}"))


@webhooks.command()
def delete(webhook_id: WebhookId, yes: Yes = False, server: Server = None) -> None:
    """Delete a webhook; its path is free from then on."""
    with Connection(server) as connection:
        if not yes:
            found = connection.get(f"/webhooks/{webhook_id}")
            consent(f"the webhook {found['url_path']} of {found['workflow']['name']}", yes=yes)
        connection.delete(f"/webhooks/{webhook_id}")
    say(f"{webhook_id} is deleted")


def _authentication(way: str, secret: str | None) -> dict[str, str]:
    if way not in WAYS:
        raise CommandError(f"--auth {way}: write one of {', '.join(WAYS)}")
    if way == "none":
        return {"type": "none"}
    if secret is None:
        raise CommandError(f"--auth {way} needs a --secret NAME; `millrace secrets set NAME` stores one")
    reference = f"{{{{ secrets.{secret} }}}}"
    if way == "api_key":
        return {"type": "api_key", "value": reference}
    return {"type": "hmac", "preset": way, "secret": reference}


def _pairs(headers: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in headers]
    wrong = next((name for name, sign, _ in pairs if not sign), None)
    if wrong is not None:
        raise CommandError(f"--header {wrong}: write name=value")
    return {name: value for name, _, value in pairs}


def _way(authentication: dict[str, Any]) -> str:
    kind = str(authentication["type"])
    return f"{kind} ({authentication.get('preset', 'generic')})" if kind == "hmac" else kind


def _state(item: dict[str, Any]) -> str:
    if item["silent_because"]:
        return f"silent: {item['silent_because'].replace('_', ' ')}"
    last = item["last_firing"]
    return f"active, last {moment(last['at'])}" if last else "active"
