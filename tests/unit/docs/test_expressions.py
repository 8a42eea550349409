"""docs/concepts.md about expressions: every row of its table, and what it shows, is evaluated."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from millrace.core.values import JsonObject
from millrace.definition import read_yaml
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.ports.evaluator import ExpressionError, Scope

PAGE = Path(__file__).parents[3] / "docs" / "concepts.md"
SECTION = PAGE.read_text("utf-8").partition("\n## Expressions\n")[2].partition("\n## ")[0]
HEAD = re.compile(r"^\| expression, with (?P<given>.*?) \| value \|$", re.MULTILINE)
GIVEN = re.compile(r"`(\w+)` = ([\d.]+)")
ROW = re.compile(r"^\| `(?P<source>[^`]+)` \| (?P<value>[^|]+) \|$", re.MULTILINE)
ERROR = re.compile(r"an error: .*; write `(?P<instead>[^`]+)`")


async def value_of(source: str, **given: Any) -> Any:
    return await CelEvaluator().evaluate(source, Scope(input=given), place="")


def given() -> dict[str, Any]:
    head = HEAD.search(SECTION)
    assert head is not None, "the table says what its expressions read"
    return {name: json.loads(value) for name, value in GIVEN.findall(head["given"])}


def rows() -> list[tuple[str, str]]:
    return [(found["source"], found["value"]) for found in ROW.finditer(SECTION)]


@pytest.mark.parametrize(("source", "value"), rows())
async def test_an_expression_of_the_table_has_the_value_beside_it(source: str, value: str) -> None:
    error = ERROR.fullmatch(value)
    if error is None:
        assert json.dumps(await value_of(source, **given())) == value.partition(":")[0]
        return
    with pytest.raises(ExpressionError, match="int and double do not mix"):
        await value_of(source, **given())
    assert await value_of(error["instead"], **given()) == 3.0


def test_the_table_is_read_whole() -> None:
    table = SECTION[SECTION.index("| expression, with") :].partition("\n\n")[0]
    assert len(rows()) == len(table.splitlines()) - 2 >= 4


async def test_the_fields_of_the_example_have_the_values_that_are_told() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    example = read_yaml(text)
    tasks: dict[str, JsonObject] = {"fetch": {"output": {"body": {"ids": [1, 2]}}}}
    scope = Scope(input={"day": "monday"}, variables={"region": "eu"}, tasks=tasks)
    rendered = await CelEvaluator().render(example, scope, place="")
    assert rendered == {"config": {"ids": [1, 2], "subject": "2 orders of monday"}, "if": True}


async def test_a_name_that_is_not_there_is_an_error_that_says_which() -> None:
    with pytest.raises(ExpressionError, match=r"input\.region"):
        await value_of("input.region")
    for source, value in {"has(input.region)": False, "default(input.region, 'eu')": "eu"}.items():
        assert f"`{source}`" in SECTION
        assert await value_of(source) == value


@pytest.mark.parametrize(("written", "kind"), [("3", "int"), ("3.0", "double"), ("3.5", "double")])
async def test_json_from_outside_decides_the_type(written: str, kind: str) -> None:
    assert f"`{written}`" in SECTION
    assert await value_of(f"type(input.n) == {kind}", n=json.loads(written)) is True
    assert isinstance(await value_of("double(input.n)", n=json.loads(written)), float)
