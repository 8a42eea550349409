"""Every command in the documents is one that `millrace` has, with options and arguments that it takes."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from millrace.cli.app import app

ROOT = Path(__file__).parents[3]
SHELL = re.compile(r"^```sh[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
ENDS = ("|", ">", ">>", "<", "&&", ";", "&")


def commands() -> list[tuple[str, str]]:
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        (document.name, line.strip())
        for document in documents
        for block in SHELL.findall(document.read_text("utf-8"))
        for line in block.replace("\\\n", " ").splitlines()
        if re.search(r"(^|[\s/])millrace\s+[a-z]", line) and not line.lstrip().startswith("#")
    ]


def arguments_of(line: str) -> list[str]:
    """What stands behind `millrace`, up to where the shell takes over."""
    words = shlex.split(line, comments=True)
    place = next(number for number, word in enumerate(words) if word.rpartition("/")[2] == "millrace")
    end = next((number for number, word in enumerate(words) if number > place and word in ENDS), len(words))
    return words[place + 1 : end]


def test_there_are_commands_in_the_documents() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize(("document", "line"), commands())
def test_a_command_of_the_documents_is_one(document: str, line: str) -> None:
    group, arguments = typer.main.get_command(app), arguments_of(line)
    context = group.make_context("millrace", [], resilient_parsing=True)
    while isinstance(group, TyperGroup) and (arguments or not group.invoke_without_command):
        name, found, arguments = group.resolve_command(context, arguments)
        assert found is not None, f"{document}: there is no command {name}"
        if isinstance(found, TyperGroup):
            context, group = found.make_context(name, [], parent=context, resilient_parsing=True), found
        else:
            trouble = trouble_with(found, name, arguments, context)
            # The files of the reader are not here.
            assert trouble is None or "does not exist" in trouble, f"{document}: {line}: {trouble}"
            return


def trouble_with(command: Any, name: str | None, arguments: list[str], context: Any) -> str | None:
    try:
        command.make_context(name, arguments, parent=context)
    except typer.BadParameter as error:
        return str(error)
    return None
