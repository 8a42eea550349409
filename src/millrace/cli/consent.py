"""Consent to what cannot be taken back: whatever deletes asks first, and without a terminal it wants `--yes`.

Commands that can be undone do not ask (`archive`, `disable`, `undeploy`, `db restore`, which keeps the database that
was there), nor do those that end runs, which can be retried.
"""

import sys
from typing import Annotated

import typer

from millrace.cli.connection import CommandError
from millrace.cli.output import cleaned

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]


def consent(what: str, *, yes: bool, instead: str = "", act: str = "delete") -> None:
    """Ask whether to delete `what`, or to do another `act`, told as part of a sentence.

    Raises `CommandError` where nobody can be asked.

    `instead` is what else can be said there, such as an option that shows more.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"this would {act} {what}; say --yes to do it{instead}")
    typer.confirm(cleaned(f"{act.capitalize()} {what}?"), abort=True, err=True)
