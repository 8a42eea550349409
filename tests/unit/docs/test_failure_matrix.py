"""docs/failure-matrix.md is as true as its tests: every row names one, and every one that is named is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "failure-matrix.md"
NAMED = re.compile(r"\[(test_\w+)\]\(([^)#]+\.py)\)")
COLUMNS = 5


def rows() -> list[str]:
    """The rows of all tables, without heads and the lines below them."""
    lines = PAGE.read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith("|") and not line.startswith(("| case ", "| --- "))]


@cache
def functions_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def missing_in(row: str) -> list[str]:
    return [
        f"{name} in {file}"
        for name, file in NAMED.findall(row)
        if not (PAGE.parent / file).is_file() or name not in functions_in((PAGE.parent / file).resolve())
    ]


def test_there_are_rows() -> None:
    assert len(rows()) > 50


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_every_case_names_tests_that_are_there(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == COLUMNS
    assert all(cells), "an operator finds an empty cell"
    assert NAMED.search(cells[-1]), "a case without a test is a guess"
    assert missing_in(row) == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert missing_in("| a case | [test_that_nobody_wrote](../tests/fault/test_kill.py) |")
    assert missing_in("| a case | [test_there_are_rows](../tests/fault/test_nowhere.py) |")
