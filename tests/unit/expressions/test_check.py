"""What is refused before a run, and what an expression tells about itself."""

import pytest

from millrace.definition.expressions.check import CheckedExpression, check_expression, check_templates
from millrace.definition.expressions.faults import ExpressionFault


def reads(source: str) -> list[tuple[str, bool]]:
    return [(read.text, read.optional) for read in check_expression(source).reads]


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("tasks.fetch.output.body", ["tasks.fetch.output.body"]),
        ("tasks['fetch'].output[0]", ["tasks.fetch.output[0]"]),
        ('tasks["odd name"].output', ["tasks['odd name'].output"]),
        ("input.a + size(variables.b)", ["input.a", "variables.b"]),
        ("tasks.a.output[input.key].b.c", ["input.key", "tasks.a.output"]),
        ("tasks.a.output.rows.filter(r, r.total > input.least)", ["tasks.a.output.rows", "input.least"]),
        ("input.rows.map(r, r.tags.exists(t, t == item))", ["input.rows", "item"]),
        ("input.rows.filter(r, r.ok)[0].name", ["input.rows"]),
        ("{'a': input.x}.a", ["input.x"]),
        ("type(input.n) == int", ["input.n"]),
        ("1 + 2", []),
    ],
)
def test_reads(source: str, paths: list[str]) -> None:
    assert [text for text, _ in reads(source)] == paths


def test_reads_know_their_root_place_and_whether_absence_is_an_error() -> None:
    assert reads("has(input.a) && default(tasks.f.output.b, input.c) == 1") == [
        ("input.a", True),
        ("tasks.f.output.b", True),
        ("input.c", False),
    ]
    checked = check_expression("1 + tasks.fetch.status")
    assert checked.roots == {"tasks"}
    assert [(read.keys, read.offset) for read in checked.reads] == [(("fetch", "status"), 4)]


@pytest.mark.parametrize(
    ("source", "plain"),
    [("input.a[0]['b c']", True), ("item", True), ("(input.a)", True), ("input.a + 1", False), ("input[item]", False)],
)
def test_plain_paths_are_known(source: str, plain: bool) -> None:
    assert check_expression(source).is_plain_path is plain


@pytest.mark.parametrize(
    ("source", "offset", "said"),
    [
        ("", 0, "is empty"),
        ("input.a +", 9, "the end stands where a value is expected"),
        ("input.a input.b", 8, "'input' stands where an operator or the end is expected"),
        ("(input.a", 8, "where ')' is expected"),
        ("true ? 1", 8, "where ':' is expected"),
        ("'abc", 0, "never closed"),
        ("input.a # 1", 8, "'#' has no meaning"),
        ("input.?a", 6, "a name after '.'"),
        ("while + 1", 0, "reserved word"),
        ("inptu.day", 0, "did you mean 'input'?"),
        ("input.a == hello", 11, "'hello' is not defined"),
        ("os.system('x')", 3, "there is no function system()"),
        ("input.a.uper()", 8, "did you mean 'upper'?"),
        ("input.a.UPPER()", 8, "there is no function UPPER(); did you mean 'upper'?"),
        ("now()", 0, "there is no function now()"),
        ("filter(input.a, x, x)", 0, "is written after a value"),
        ("input.a.int()", 8, "is not written after a value"),
        ("upper()", 0, "upper() takes 1 value, not 0"),
        ("join(input.a, ',', 1)", 0, "join() takes 1 to 2 values, not 3"),
        ("default(1, 2)", 0, "takes a path"),
        ("has(size(input.a))", 0, "takes a path"),
        ("input.a.map(x)", 8, "takes a name and an expression"),
        ("input.a.map(1, 2)", 8, "takes a name and an expression"),
        ("input.a.map(input, 1)", 12, "'input' already has a meaning"),
        ("input.a.map(x, x.map(x, x))", 21, "'x' already has a meaning"),
        ("input.a.map(x, x.map(y, y.map(z, z)))", 26, "in more than 1 other loops"),
        ("format_date(input.day, 'DD.MM.', 'Europe/Berlni')", 33, "is not known; did you mean 'Europe/Berlin'?"),
        ("format_date(input.day, 'DD.MM.', 'Mars/Base')", 33, "time zone given to format_date() is not known"),
        ("format_date(input.day, 'DD.MM.', 'localtime')", 33, "time zone given to format_date() is not known"),
        ("format_date('21.11.2026', 'DD.MM.')", 12, "a text given as a date is none"),
        ("add_time(input.day, '1 day')", 20, "the amount given to add_time() cannot be read"),
        ("input.day.add_time('1 day')", 19, "the amount given to add_time() cannot be read"),
        ("add_time(input.day, '999999999w')", 20, "outside the years 1 to 9999"),
        ("parse_date(input.day, 'DD.MM.YY')", 22, "must name YYYY, MM and DD"),
        ("split(input.names, '')", 19, "a separator that is not empty"),
        ("replace(input.name, '', '-')", 20, "cannot search for an empty text"),
        ("json('{')", 5, "is not JSON"),
        ("input.name.matches('(')", 19, "is no regular expression"),
        ("input.name.matches('.{300}')", 19, "the pattern of matches() is too large"),
        ("duration('1 hour')", 9, "duration() cannot read its argument"),
        ("timestamp('2026-11-21')", 10, "timestamp() cannot read its argument"),
        ("default(input.n, int('x'))", 21, "int() cannot read its argument"),
        ("9223372036854775808 + input.a", 0, "not written as CEL wants it"),
        ("input.a + 1 / 0 * [1/0][0]", 18, "division by zero"),
        ("'é' + '" + "x" * 4096 + "'", 0, "longer than 4096 bytes"),
        ("(" * 200 + "1" + ")" * 200, 32, "nested deeper than 32"),
        ("!" * 200 + "true", 31, "nested deeper than 32"),
        ("true ? 1 : " * 100 + "1", 352, "nested deeper than 32"),
    ],
)
def test_faults_say_where_and_why(source: str, offset: int, said: str) -> None:
    with pytest.raises(ExpressionFault) as caught:
        check_expression(source)
    assert said in caught.value.message
    assert caught.value.offset == offset
    assert caught.value.remedy


@pytest.mark.parametrize(
    "source",
    [
        "format_date(input.day, 'DD.MM.YYYY', 'Europe/Berlin')",
        "format_date(input.day, 'no field', input.zone)",
        "format_date('2026-11-21', r'DD', '\\u0055TC')",
        "add_time(add_time('2026-11-21', '-1w2d'), input.amount)",
        "timestamp('2026-11-21T00:00:00Z') - duration('1.5h')",
        "split('', ',') + split(input.names, input.separator)",
        "replace(input.name, 'a', '')",
        "'a1'.matches('^[a-z][0-9]$') && int('12') == 12 && double('1.5') == 1.5",
    ],
)
def test_arguments_that_can_be_read_are_no_fault(source: str) -> None:
    check_expression(source)


def test_loops_may_follow_each_other_any_number_of_times() -> None:
    assert check_expression("input.a" + ".filter(x, x > 1)" * 20).reads[0].text == "input.a"


def test_all_faults_of_a_value_are_found_with_place_and_offset() -> None:
    value = {"a": "x {{ input.a }} {{ inptu.b }}", "b": ["{{ open", "{{ input.c + }}"]}
    found = list(check_templates(value, "config"))  # type: ignore[arg-type]
    assert [where for where, _ in found] == ["config.a", "config.a", "config.b[0]", "config.b[1]"]
    assert isinstance(found[0][1], CheckedExpression)
    faults = [fault for _, fault in found if isinstance(fault, ExpressionFault)]
    assert [fault.offset for fault in faults] == [19, 0, 12]


def test_a_zone_that_means_something_else_on_each_machine_is_not_proposed() -> None:
    with pytest.raises(ExpressionFault) as caught:
        check_expression("format_date(input.day, 'DD.MM.', 'localtme')")
    assert "is not known (at" in str(caught.value)
