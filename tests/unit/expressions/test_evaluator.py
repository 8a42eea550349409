"""Values and errors of expressions, through the port."""

import asyncio
import json
import math
import os
import re
import subprocess
import sys
from types import MappingProxyType

import cel
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from millrace.core.values import JsonValue
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.definition.expressions.functions import FUNCTIONS, FunctionDoc
from millrace.definition.expressions.limits import MAX_COMPREHENSIONS
from millrace.ports.evaluator import Evaluator, ExpressionError, Scope

ROWS: list[JsonValue] = [{"id": n, "total": n * 1.5, "tags": ["a", "b"] if n % 2 else []} for n in range(6)]
SCOPE = Scope(
    input={"n": 5, "x": 2.5, "name": "Ada", "none": None, "rows": ROWS, "key": "id", "big": 2**63 - 1, "yes": True},
    variables={"region": "eu"},
    tasks={"fetch": {"output": {"body": {"orders": [1, 2]}}, "status": "completed"}},
    secrets={"token": "hunter2-very-secret"},
    locals={"item": {"id": 7}, "index": 3},
)


async def evaluate(expression: str, scope: Scope = SCOPE) -> JsonValue:
    evaluator: Evaluator = CelEvaluator()
    return await evaluator.evaluate(expression, scope, place="tasks.load.if")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("input.n + 2 * 3", 11),
        ("7 / 2", 3),
        ("input.x * 2.0", 5.0),
        ("double(input.n) / 2.0", 2.5),
        ("input.n > 2.5", True),
        ("input.name + '!'", "Ada!"),
        ("variables.region == 'eu' && size(tasks.fetch.output.body.orders) > 1", True),
        ("item.id + index", 10),
        ("input.n in [1, 5]", True),
        ("'fetch' in {'fetch': input.n}", True),
        ("input.rows[input.n].id", 5),
        ("input.rows[0][input.key]", 0),
        ("{'a': [input.n, null]}", {"a": [5, None]}),
        ("{'a': {'b': input.n}}.a.b", 5),
        ("input.n > 3 ? 'many' : input.missing", "many"),
        ("input.missing.deep || true", True),
        ("false && input.missing", False),
        ("has(input.missing.deep) && input.missing.deep > 1", False),
        ("has(input.none)", True),
        ("has(input.rows[9])", False),
        ("default(input.missing.deep, 'd')", "d"),
        ("default(input.none, 1 + 1)", 2),
        ("default(input.n, input.missing)", 5),
        ("default(input.rows.filter(r, r.id == 99)[0].id, -1)", -1),
        ("default(input.rows[input.n].id, -1)", 5),
        ("default(input.rows[99 + input.n].id, -1)", -1),
        ("input.rows.filter(r, r.total > 4.0).map(r, r.id)", [3, 4, 5]),
        ("input.rows.filter(r, r.total > 4.0).size() + 1", 4),
        ("size(input.rows.filter(r, size(r.tags) > 0)) == 3 && input.yes", True),
        ("input.rows.filter(r, r.id == 2)[0].total", 3.0),
        ("input.rows.map(r, r.id > 3, {'id': r.id, 'n': input.n})", [{"id": 4, "n": 5}, {"id": 5, "n": 5}]),
        ("input.rows.filter(r, r.tags.exists(t, t == 'b')).map(r, r.id)", [1, 3, 5]),
        ("input.rows.all(r, r.id < 10)", True),
        ("input.rows.all(r, r.id < 3)", False),
        ("input.rows.exists(r, r.nope > 1 || r.id == 5)", True),
        ("input.rows.exists_one(r, r.id == 5)", True),
        ("[].all(x, x)", True),
        ("[].exists(x, x)", False),
        ("[3, input.n].map(x, x * 2)", [6, 10]),
        ("{'a': 1, 'b': 2}.map(k, k)", ["a", "b"]),
        ("input.name.upper().lower()", "ada"),
        ("'a,b'.split(',').map(x, upper(x)).join('+')", "A+B"),
        ("json(to_json({'a': [input.n]})).a[0]", 5),
        ("string(input.n) + string(input.yes) + string(2.0)", "5true2"),
        ("timestamp('2026-01-01T00:00:00Z') + duration('90m') > timestamp('2026-01-01T01:00:00Z')", True),
        ("[timestamp('2026-01-01T00:00:00Z')]", ["2026-01-01T00:00:00Z"]),
        ("{'a': duration('1.5s')}", {"a": "1.5s"}),
        ("b'ab'", "YWI="),
        ("5u", 5),
        ("add_time(timestamp('2026-01-01T00:00:00Z'), '1h')", "2026-01-01T01:00:00Z"),
        ("type(input.n) == int && type(input.rows) == list", True),
        ("secrets.token.startsWith('hunter')", True),
        ("[input.n]in[[5]]", True),
        ("tasks", {"fetch": {"output": {"body": {"orders": [1, 2]}}, "status": "completed"}}),
        ("size('äö')", 2),
        ("size(b'abc')", 3),
        ("string(timestamp('2026-01-01T00:00:00Z')) + string('!')", "2026-01-01T00:00:00Z!"),
        ("to_json([timestamp('2026-01-01T00:00:00Z'), 1])", '["2026-01-01T00:00:00Z",1]'),
        ("has(item.id) && !has(item.nope)", True),
        ("input.n // a comment\n + 1", 6),
    ],
)
async def test_values(expression: str, value: JsonValue) -> None:
    found = await evaluate(expression)
    assert found == value
    assert type(found) is type(value)
    json.dumps(found)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("input.n * input.x", "input.n is int, input.x is double; int and double do not mix: write 2.0 instead of 2"),
        ("input.n * 2.5", "double(n)"),
        ("input.none + 1", "input.none is null; write default(PATH, value)"),
        ("input.name + 1", "input.name is string; convert with"),
        ("1 / (input.n - 5)", "division by zero"),
        ("input.n % 0", "division by zero"),
        ("input.big + 1", "does not fit in 64 bits"),
        ("input.big * input.big > 0", "does not fit in 64 bits"),
        ("input.x / 0.0", "infinite or not a number"),
        ("int(secrets.token)", "int() cannot read its argument: secrets.token is string"),
        ("timestamp(secrets.token)", "timestamp() cannot read its argument: secrets.token is string"),
        ("int(input.rows)", "int() does not take this: input.rows is list"),
        ("!input.n", "do not fit: input.n is int"),
        ("input.n ? 1 : 2", "the condition before '?' is int, not bool"),
        ("input.rows.filter(r, r.id)", "the condition of filter() is int, not bool"),
        ("input.rows.map(r, r.id, 1)", "the condition of map() is int"),
        ("input.rows.filter(r, r.nope > 1)", "r.nope is not defined; the value has: id, total, tags"),
        ("input.rows.all(r, r.nope > 1)", "r.nope is not defined"),
        ("input.n.map(x, x)", "map() walks a list or a map, not int"),
        ("upper(input.n)", "upper() takes text, not int"),
        ("size(input.n)", "size() takes text, a list or a map, not int"),
        ("input.rows[input.x]", "the key [input.x] is double"),
        ("input[secrets.token]", "input[secrets.token] is not defined; the value has: n, x"),
        ("{'a': {secrets.token + '': 1}}.a.b", "is not defined; the value has: 1 names"),
        ("item.id[secrets.token + 'x']", "item.id[secrets.token + 'x'] is not defined; item.id is int"),
        ("input.rows[-1].id", "input.rows[-1] is not defined"),
        ("{input.n: 1}", "a key of a map is int"),
        ("{1: 2}", "a key of a map is int"),
        ("tasks.later.output.x + 1", "tasks.later is not defined; the value has: fetch"),
        ("input.missing && true", "input.missing is not defined"),
        ("json(secrets.token)", "the text given to json() is not JSON"),
        ("json('[NaN]')", "cannot be used: numbers must be finite"),
        ("json('" + "[" * 2000 + "')", "is not JSON"),
        ("input.name.matches('(')", "is no regular expression"),
        ("input.n.matches('a')", "takes two texts, not int and string"),
    ],
)
async def test_errors(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        await evaluate(expression)
    assert said in str(caught.value)
    assert str(caught.value).startswith("tasks.load.if: '")
    assert "hunter2" not in str(caught.value)


async def test_an_unchecked_expression_is_refused_with_its_fault() -> None:
    with pytest.raises(ExpressionError, match=r"tasks\.load\.if: 'inptu\.a': 'inptu' is not defined"):
        await evaluate("inptu.a")


async def test_a_long_expression_is_shortened_in_errors() -> None:
    with pytest.raises(ExpressionError) as caught:
        await evaluate("input.missing + " + " + ".join(["1"] * 500))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("expression", "value"), [("has(item.id)", False), ("default(index, 9)", 9)])
async def test_loop_names_are_absent_outside_loops(expression: str, value: JsonValue) -> None:
    assert await evaluate(expression, Scope()) == value


async def test_a_mapping_of_the_scope_becomes_a_plain_map() -> None:
    scope = Scope(tasks=MappingProxyType({"fetch": {"output": 1}}), secrets=MappingProxyType({"a": "b"}))
    found = await evaluate("tasks", scope)
    assert type(found) is dict
    assert found == {"fetch": {"output": 1}}
    assert await evaluate("to_json({'all': secrets})", scope) == '{"all":{"a":"b"}}'
    assert await evaluate("size(tasks) == 1 && 'fetch' in tasks", scope) is True


async def test_secrets_are_absent_unless_the_scope_has_them() -> None:
    with pytest.raises(ExpressionError, match=r"secrets\.token is not defined; the value has: nothing"):
        await evaluate("secrets.token", Scope())


@pytest.mark.parametrize("doc", FUNCTIONS, ids=lambda doc: doc.name)
async def test_documented_examples_hold(doc: FunctionDoc) -> None:
    assert await evaluate(doc.example, Scope(input={"day": "2026-11-21"})) == json.loads(doc.gives)


OPERATORS = ["+", "-", "*", "/", "%", "<", "<=", "==", "!=", "&&", "||", "in"]
SMALL = st.integers(-3, 3).map(str) | st.sampled_from(["1.5", "true", "'a'", "null", "[1]", "a", "b", "c"])
TREES = st.recursive(
    SMALL,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        inner.map(lambda part: f"!({part})"),
        inner.map(lambda part: f"[{part}]"),
        st.tuples(inner, inner).map(lambda parts: f"[{parts[0]}, 2].map(x, x == {parts[1]})"),
    ),
    max_leaves=8,
)


@given(TREES)
def test_operators_mean_what_cel_says(tree: str) -> None:
    """Our steps and the library over the whole expression agree, on values and on whether there is one."""
    values: dict[str, JsonValue] = {"a": 2, "b": 0.5, "c": "a"}
    assume(tree.count(".map(") <= MAX_COMPREHENSIONS)
    failed = object()
    try:
        expected = cel.compile(tree).execute(values)
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError):
        expected = failed
    assume(is_finite(expected))
    try:
        found: object = asyncio.run(CelEvaluator().evaluate(with_root(tree), Scope(input=values), place=""))
    except ExpressionError as error:
        assume("'x' already has a meaning" not in str(error))  # stricter than CEL: a loop in a loop names its own
        found = failed
    assert (type(found), found) == (type(expected), expected)


def with_root(tree: str) -> str:
    return re.sub(r"'a'|\b([abc])\b", lambda match: f"input.{match[1]}" if match[1] else match[0], tree)


def is_finite(value: object) -> bool:
    if isinstance(value, list):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def test_the_command_line_of_the_library_is_not_loaded() -> None:
    """It would cost every process 16 MB; and `import cel` must still work afterwards."""
    program = (
        "import sys, millrace.definition.expressions.evaluator;"
        "assert 'cel.cli' not in sys.modules and 'prompt_toolkit' not in sys.modules;"
        "import cel; assert cel.compile('1 + 1').execute({}) == 2"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})


async def test_the_library_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its messages would hold values."""
    caplog.set_level(0)
    with pytest.raises(ExpressionError):
        await evaluate("int(secrets.token) + timestamp(secrets.token)")
    assert "hunter2" not in caplog.text


async def test_maps_keep_the_order_they_are_written_in() -> None:
    names = [f"k{number}" for number in range(20, 0, -1)]
    source = "{" + ", ".join(f"'{name}': 1" for name in names) + "}"
    assert list(await evaluate(source)) == names  # type: ignore[arg-type]


async def test_maps_that_pass_an_operator_have_a_fixed_order() -> None:
    scope = Scope(input={"map": {f"k{number}": 1 for number in range(20, 0, -1)}})
    texts = {await evaluate("to_json([input.map] + [input.map])", scope) for _ in range(5)}
    assert len(texts) == 1
