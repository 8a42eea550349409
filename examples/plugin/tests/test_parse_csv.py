"""A runner is a class with one async method: it is tested by calling it."""

import asyncio

import pytest
from millrace_parse_csv import ParseCsv, ParseCsvConfig
from pydantic import ValidationError

from millrace.ports.runner import Completed, Failed, Outcome, RunnerContext


def run(**config: object) -> Outcome:
    context = RunnerContext("run", "task", 1, log=lambda text, **_: None)
    return asyncio.run(ParseCsv().run(ParseCsvConfig.model_validate(config), context))


def test_rows_by_the_names_of_their_columns() -> None:
    assert run(text="a,b\n1,2\n") == Completed({"rows": [{"a": "1", "b": "2"}]})


def test_rows_as_they_are() -> None:
    assert run(text="1;2\n3;4", header=False, delimiter=";") == Completed({"rows": [["1", "2"], ["3", "4"]]})


def test_a_row_that_is_too_short_is_named() -> None:
    outcome = run(text="a,b\n1\n")
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "line 2 has 1 cells; the header has 2"


def test_a_config_that_it_does_not_take() -> None:
    with pytest.raises(ValidationError):
        run(text="a", delimiter="--")
