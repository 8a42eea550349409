"""Templates: where expressions begin and end, what is literal, and how values go into a text."""

import pytest

from millrace.core.values import JsonValue
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.templates import (
    Embedded,
    Text,
    has_expressions,
    parse_template,
)
from millrace.ports.evaluator import ExpressionError, Scope

SCOPE = Scope(
    input={"day": "2026-11-21", "n": 5, "none": None, "list": [1, "ä", {"b": 2.5}], "yes": True, "braces": "}} {{"}
)


async def render(template: JsonValue) -> JsonValue:
    return await CelEvaluator().render(template, SCOPE, place="config")


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("plain } text { }}", (Text("plain } text { }}"),)),
        ("", ()),
        ("{{ input.a }}", (Embedded("input.a", 3),)),
        ("{{input.a}}x{{  input.b}}", (Embedded("input.a", 2), Text("x"), Embedded("input.b", 16))),
        ("{{ '}}' }}", (Embedded("'}}'", 3),)),
        ('{{ "a\\"}}" }}', (Embedded('"a\\"}}"', 3),)),
        ("{{ r'\\' }}", (Embedded("r'\\'", 3),)),
        ("{{ '''it's }}''' }}", (Embedded("'''it's }}'''", 3),)),
        ("{{ {'a': {'b': 1}} }}", (Embedded("{'a': {'b': 1}}", 3),)),
        ("{{ {'a': {'b': 1}}}}", (Embedded("{'a': {'b': 1}}", 3),)),
        ("a {{{{ b }} c", (Text("a {{ b }} c"),)),
        ("{{{{{{ input.a }}", (Text("{{"), Embedded("input.a", 7))),
    ],
)
def test_segments(text: str, segments: tuple[Text | Embedded, ...]) -> None:
    assert parse_template(text).segments == segments


@pytest.mark.parametrize(
    ("text", "offset", "said"),
    [
        ("ab {{ input.a", 3, "never closed"),
        ("ab {{ 'x }}", 6, "text in quotes is never closed"),
        ("{{   }}", 2, "is empty"),
        ("{{ {'a': 1 }}", 0, "never closed"),
        ("{{ " + "1 + " * 2000 + "1 }}", 0, "longer than 4096"),
        ("{{ input.a }}" * 501, 6500, "more than 500 expressions"),
    ],
)
def test_broken_templates_say_where(text: str, offset: int, said: str) -> None:
    with pytest.raises(ExpressionFault) as caught:
        parse_template(text)
    assert caught.value.offset == offset
    assert said in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ input.list }}", [1, "ä", {"b": 2.5}]),
        ("{{ input.none }}", None),
        ("{{ input.n }}", 5),
        ("{{ input.yes }}", True),
        ("day={{ input.day }}&n={{ input.n }}", "day=2026-11-21&n=5"),
        ("[{{ input.none }}]", "[]"),
        ("got {{ input.list }}", 'got [1,"ä",{"b":2.5}]'),
        ("is {{ input.yes }}", "is true"),
        (" {{ input.n }}", " 5"),
        ("{{ input.braces }}{{ input.braces }}", "}} {{}} {{"),
        ("{{{{ input.n }}", "{{ input.n }}"),
        ("since {{ timestamp('2026-01-01T00:00:00Z') }}", "since 2026-01-01T00:00:00Z"),
        ({"{{ input.n }}": ["{{ input.n }}", {"x": "{{ input.n + 1 }}"}, 7]}, {"{{ input.n }}": [5, {"x": 6}, 7]}),
    ],
)
async def test_rendering(template: JsonValue, value: JsonValue) -> None:
    rendered = await render(template)
    assert rendered == value
    assert type(rendered) is type(value)


async def test_an_error_names_the_place_within_the_value() -> None:
    with pytest.raises(ExpressionError) as caught:
        await render({"headers": {"X-A": ["ok", "n={{ input.n }} {{ input.dya }}"]}})
    assert str(caught.value).startswith("config.headers['X-A'][1]: 'input.dya': input.dya is not defined;")
    assert "did you mean 'day'?" in str(caught.value)


async def test_a_rendered_text_is_bounded() -> None:
    scope = Scope(input={"text": "x" * 400_000})
    with pytest.raises(ExpressionError, match="too large"):
        await CelEvaluator().render("{{ input.text }}" * 3, scope, place="")


async def test_a_whole_expression_may_be_larger_than_a_text() -> None:
    rows: list[JsonValue] = ["x" * 1000] * 5000
    scope = Scope(input={"rows": rows})
    assert await CelEvaluator().render("{{ input.rows }}", scope, place="") is rows
    with pytest.raises(ExpressionError, match="too large"):
        await CelEvaluator().render("rows: {{ input.rows }}", scope, place="")


def test_has_expressions() -> None:
    assert has_expressions({"a": [1, {"b": "{{ input.a }}"}]})
    assert has_expressions("{{{{ needs rendering too")
    assert not has_expressions({"a": [1, None, "text }} {"], "{{ key }}": "x"})
