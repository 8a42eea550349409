"""What the commands about secrets and those about connections share: what one is for, who uses it, its versions."""

from typing import Annotated, Any

import typer

from millrace.cli import completion
from millrace.cli.connection import CommandError, Connection
from millrace.cli.consent import consent
from millrace.cli.output import moment, print_json, print_table, say

Workflows = Annotated[
    list[str] | None,
    typer.Option(
        "--workflow", help="Only this workflow may use it; again for more.", autocompletion=completion.workflows
    ),
]
AllWorkflows = Annotated[bool, typer.Option("--all-workflows", help="Every workflow may use it.")]


def scope(field: str, names: list[str] | None, option: str, *, to_all: bool, all_option: str) -> dict[str, Any]:
    """The part of a request that says what it is for; empty to leave that as it is."""
    if names and to_all:
        raise CommandError(f"give {option} or {all_option}, not both")
    if to_all:
        return {field: None}
    return {field: names} if names else {}


def rescope(path: str, name: str, body: dict[str, Any], *, as_json: bool, server: str | None) -> dict[str, Any]:
    """Answers the thing as it is now, and says so."""
    if not body:
        raise CommandError("say what it is for, such as --workflow NAME or --all-workflows")
    with Connection(server) as connection:
        shown: dict[str, Any] = connection.patch(path, body)
    if as_json:
        print_json(shown)
        return shown
    hosts = f", hosts: {said_scope(shown['hosts'])}" if "hosts" in shown else ""
    say(f"{name} is for the workflows: {said_scope(shown['workflows'])}{hosts}")
    return shown


def said_scope(names: list[str] | None) -> str:
    return "all" if names is None else ", ".join(names)


def list_versions(path: str, *, as_json: bool, server: str | None) -> None:
    with Connection(server) as connection:
        found = connection.get(f"{path}/versions")["items"]
    if as_json:
        print_json(found)
        return
    rows = [
        [
            str(item["version"]),
            moment(item["created_at"]),
            item["created_by"]["name"] if item["created_by"] else "-",
            "holds" if item["current"] else "",
        ]
        for item in found
    ]
    print_table(["version", "set at", "by", ""], rows)


def roll_back(path: str, name: str, version: int, *, as_json: bool, server: str | None) -> dict[str, Any]:
    """Answers the thing as it is now, and says so."""
    with Connection(server) as connection:
        shown: dict[str, Any] = connection.post(f"{path}/rollback", {"version": version})
    if as_json:
        print_json(shown)
    else:
        say(f"{name} is what it was in version {version}, as version {shown['version']}")
    return shown


def remove(path: str, kind: str, name: str, *, yes: bool, as_json: bool, server: str | None) -> None:
    """Deletes it, after a question that says who will miss it, and says who does."""
    with Connection(server) as connection:
        if not yes:
            consent(f"the {kind} {name!r}{missed(connection.get(path)['used_by'])}", yes=yes)
        gone = connection.delete(path)
    if as_json:
        print_json(gone)
        return
    say(f"{name} is deleted")
    print_users(gone["used_by"], "these will fail without it:")


def print_users_of(shown: dict[str, Any], introduction: str) -> None:
    """Who uses it, and who of them will fail because it is not for him."""
    allowed = shown["workflows"]
    outside = [user for user in shown["used_by"] if allowed is not None and user["name"] not in allowed]
    print_users([user for user in shown["used_by"] if user not in outside], introduction)
    print_users(outside, "it is not for these, which name it and will fail:")


def missed(users: list[dict[str, Any]]) -> str:
    """What will fail, in a question about what it needs."""
    return f", which {', '.join(repr(user['name']) for user in users)} will miss" if users else ""


def print_users(users: list[dict[str, Any]], introduction: str) -> None:
    if users:
        say(f"{introduction} {', '.join(user['name'] for user in users)}")
