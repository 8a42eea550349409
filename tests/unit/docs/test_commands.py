"""Commands in the text of documents, and in blocks that nobody executes, are ones that `millrace` has.

What stands in the other blocks is executed: tests/acceptance/test_how_to.py and test_readme.py.
"""

import re
import shlex

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from millrace.cli.app import app
from millrace.cli.connection import CommandError
from tests.support.documents import REPOSITORY, blocks_of, commands_of

FENCED = re.compile(r"^\s*```.*?^\s*```", re.DOTALL | re.MULTILINE)
IN_TEXT = re.compile(r"(?<!`)`(?:\.venv/bin/)?(millrace\s[^`]+)`(?!`)")
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def commands() -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        text = FENCED.sub("", document.read_text("utf-8"))
        found += [(document.name, " ".join(command.split())) for command in IN_TEXT.findall(text)]
        left_out = [block for block in blocks_of(document) if block.left_out and block.language == "sh"]
        lines = [command.text for block in left_out for command in commands_of(block)]
        found += [(document.name, line) for line in lines if line.startswith("millrace ")]
    return [(name, command) for name, command in found if "…" not in command]


def trouble_with(arguments: list[str]) -> str | None:
    """Why `millrace` would not take these arguments, or None. The files of the reader need not be here."""
    command = typer.main.get_command(app)
    context: typer.Context | None = None
    name: str | None = "millrace"
    try:
        while isinstance(command, TyperGroup) and not (command.invoke_without_command and is_option(arguments[:1])):
            if is_option(arguments[:1]):
                # Parsed, it would be done, like --install-completion.
                known = {name for option in command.params for name in option.opts}
                return None if arguments[0] in known else f"there is no option {arguments[0]}"
            context = command.make_context(name, [], parent=context, resilient_parsing=True)
            if not arguments:
                return None
            name, found, rest = command.resolve_command(context, arguments)
            if found is None:
                return f"there is no command {arguments[0]}"
            command, arguments = found, rest
        command.make_context(name, arguments, parent=context)
    except TyperException as error:
        trouble = str(error)
        return None if trouble.startswith("Missing") or "does not exist" in trouble else trouble
    except CommandError as error:
        return None if str(error).startswith("there is no file or folder") else str(error)
    return None


def is_option(arguments: list[str]) -> bool:
    return bool(arguments) and arguments[0].startswith("-")


def test_there_are_commands_in_the_documents() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize(("document", "line"), commands())
def test_a_command_of_the_documents_is_one(document: str, line: str) -> None:
    trouble = trouble_with(shlex.split(line, comments=True)[1:])
    assert trouble is None, f"{document}: {line}: {trouble}"


@pytest.mark.parametrize(
    "line", ["triggers --overdu", "run greet --folow", "db backupp", "nothing", "--instal-completion"]
)
def test_a_command_that_there_is_not_is_noticed(line: str) -> None:
    assert trouble_with(line.split()) is not None
