"""docs/security.md is as true as its tests: every lesson names some that are there, and none is left out."""

import re
from pathlib import Path

import pytest

from tests.unit.docs.test_failure_matrix import NAMED, functions_in

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "security.md"
LESSONS = PAGE.read_text("utf-8").partition("## What others have learned")[2].partition("\n## ")[0]
ROWS = [line for line in LESSONS.splitlines() if line.startswith("|") and not line.startswith(("| taught", "| ---"))]
AFTER_AN_ADVISORY = re.compile(r"test_(cve|ghsa|windmill|kestra|n8n)_\w+")
SETTING = re.compile(r"`(MILLRACE_\w+)`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_lesson_names_tests_that_are_there(row: str) -> None:
    taught, said, _ = (cell.strip() for cell in row.strip("|").split("|"))
    assert taught
    assert said
    found = NAMED.findall(row)
    assert found, "a lesson without a test is a good intention"
    for name, file in found:
        assert name in functions_in((PAGE.parent / file).resolve()), f"{name} in {file}"


def test_every_lesson_stands_on_the_page() -> None:
    named = {name for name, _ in NAMED.findall(LESSONS)}
    written = {name for file in (ROOT / "tests" / "security").glob("test_*.py") for name in functions_in(file)}
    assert len(ROWS) > 15
    assert {name for name in written if AFTER_AN_ADVISORY.match(name)} - named == set()


def test_the_settings_that_are_named_are_there() -> None:
    known = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [name for name in SETTING.findall(PAGE.read_text("utf-8")) if f"`{name}`" not in known] == []
