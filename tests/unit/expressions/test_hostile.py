"""Hostile expressions: each is bounded in steps, sizes or weight, answered clearly, and lets the event loop turn.

No test measures time; `benchmarks/expressions.py` does. Where a bound failed, these tests would not end.
"""

import asyncio

import pytest

from millrace.core.values import JsonValue
from millrace.definition.expressions import limits
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.definition.expressions.faults import Exhausted
from millrace.definition.expressions.patterns import check_pattern
from millrace.ports.evaluator import ExpressionError, Scope

NUMBERS: list[JsonValue] = list(range(100_000))
LARGE = "x" * 900_000
SCOPE = Scope(
    input={
        "numbers": NUMBERS,
        "large": LARGE,
        "rows": [{"id": n, "pad": "x" * 1000} for n in range(3000)],
        "commas": "," * 20_000,
        "bracket": "[" * 5_000,
        "values": "[" + "1," * 20_000 + "1]",
        "text": "a" * 50_000,
        "n": 3,
        "wide": [["x" * 1000] * 40] * 40,
    }
)


async def evaluate(expression: str) -> JsonValue:
    return await CelEvaluator().evaluate(expression, SCOPE, place="p")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("input.numbers.map(a, input.numbers.map(b, a * b))", "visit more than 100000 items"),
        ("input.numbers.all(a, input.numbers.all(b, a + b >= 0))", "visit more than 100000 items"),
        ("size(input.numbers.map(a, a)) == size(input.numbers.map(a, a))", "visit more than 100000 items"),
        ("input.numbers == input.numbers", "too large"),
        ("input.n > 1 && 5 in input.numbers", "too large"),
        ("input.numbers + [1]", "too large"),
        ("input.large + input.large", "too large"),
        ("[input.large + 'a', input.large + 'b']", "too large"),
        ("input.rows.map(r, input.large + 'a')", "too large"),
        ("input.rows.map(r, r)", "too large"),
        ("input.rows.filter(r, r.id >= 0)", "too large"),
        ("input.rows.map(r, input.large.contains('y'))", "handle large values or patterns too often"),
        ("input.rows.exists(r, upper(input.large) == 'y')", "handle large values or patterns too often"),
        ("input.numbers.exists(n, 'a'.matches('[a-z]+@[a-z]+[.]com'))", "handle large values or patterns too often"),
        ("input.large.replace('x', 'yy')", "too large"),
        ("'xxxxxxxxxx'" + ".replace('x', 'xxxxxxxxxx')" * 40, "too large"),
        ("input.large.replace('', 'y')", "cannot search for an empty text"),
        ("replace(input.large, 'xx', 'y' + input.large)", "too large"),
        ("join(input.numbers, ',')", "join() takes a list of text, not int"),
        ("join(input.n, ',')", "join() takes a list, not int"),
        ("join(input.numbers.map(n, 'a'), input.large)", "too large"),
        ("split('a', '')", "needs a separator"),
        ("json(input.large + 'x')", "is not JSON"),
        ("string(input.rows)", "use to_json() for lists"),
        ("to_json(" * 25 + "'\"'" + ")" * 25, "too large"),
        ("split(input.commas, ',')", "more than 10000 parts"),
        ("join(input.wide[0], input.large)", "too large"),
        ("json(input.values)", "more than 10000 values"),
        ("json(input.bracket)", "is not JSON"),
        ("to_json(input.numbers)", "too large"),
        ("+".join(["input.n"] * 400) + " * 9223372036854775807", "does not fit in 64 bits"),
        ("99999999999999999999999999", "not written as CEL wants it"),
        ("input.large + " + " + ".join(["'a'"] * 600), "too large"),
        ("input.text.matches('" + "(" * 255 + "')", "is no regular expression"),
        ("input.text.matches('a{1000}{1000}')", "pattern of matches() is too large"),
        ("input.text.matches('(((a{50}){50}){50})')", "pattern of matches() is too large"),
        ("input.text.matches('" + "\\\\w{9}" * 20 + "')", "pattern of matches() is too large"),
        ("input.text.matches('" + "a" * 300 + "')", "pattern of matches() is too large"),
        ("input.text.matches('[ab]*a[ab]{200}c')", "the text is too long for the pattern"),
        ("input.large.matches('xy')", "the text is too long for the pattern"),
        ("input.wide.map(a, a.map(b, b.map(c, c)))", "in more than 1 other loops"),
        ("[" * 500 + "]" * 500, "nested deeper than 32"),
        ("-" * 500 + "1", "nested deeper than 32"),
        ("input" + "[input" * 100 + "]" * 100, "nested deeper than 32"),
        ("input" + ".a" * 3000, "longer than 4096 bytes"),
        ("input.numbers" + "['" + "a" * 4000 + "']", "is a list"),
        ("a" * 4000, "is not defined"),
        ("a" * 4000 + "()", "there is no function"),
        ("input." + "a" * 4000, "is not defined; the value has: numbers"),
        ("input.n.__class__.__mro__", "is int, which has no parts"),
        ("'{0.__class__}'.format(input)", "there is no function format()"),
    ],
)
async def test_refused(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        await evaluate(expression)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("size(input.numbers)", 100_000),
        ("input.numbers.filter(n, n < 3)", [0, 1, 2]),
        ("input.n > 5 || input.numbers.map(n, n * 2)[7] == 14", True),
        ("size(input.rows.filter(r, r.id >= 0))", 3000),
        ("input.rows.filter(r, r.id >= 0).map(r, r.id)[2999]", 2999),
        ("input.text.matches('(a+)+$')", True),
        ("(input.text + 'b!').matches('^(a|aa)+$')", False),
        ("input.numbers.all(n, n >= 0)", True),
        ("input.n > 1 ? size(input.numbers) : input.numbers == []", 100_000),
        (" + ".join(["input.n"] * 300), 900),
        ("input.n" + " == input.n || input.n" * 100 + " == 3", True),
    ],
)
async def test_large_data_is_no_obstacle_where_the_work_is_small(expression: str, value: JsonValue) -> None:
    assert await evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["input.numbers.filter(n, n < 0)", "input.n == 3 && input.numbers.all(n, n >= 0)", "input.numbers.map(n, n)"],
)
async def test_the_loop_turns_during_an_evaluation(expression: str) -> None:
    turns = await turns_during(evaluate(expression))
    assert turns > 2


async def test_the_loop_turns_during_a_burst_of_short_evaluations() -> None:
    evaluator = CelEvaluator()

    async def burst() -> None:
        for number in range(20_000):
            scope = Scope(locals={"item": {"id": number}})
            assert await evaluator.render("{{ item.id }}", scope, place="") == number

    assert await turns_during(burst()) > 2


async def test_an_evaluation_after_a_pause_costs_no_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A needless turn would split the engine's commits."""
    # So long that an evaluation does not take it, also where others have the processor.
    monkeypatch.setattr(limits, "PACE", 0.3)
    evaluator = CelEvaluator()
    await evaluator.evaluate("input.n", SCOPE, place="")
    await asyncio.sleep(limits.PACE * 2)
    assert await turns_during(evaluator.evaluate("input.n + 1", SCOPE, place="")) == 0


def test_an_evaluator_outlives_its_loop() -> None:
    """A loop that ends before it turns must not leave the next one giving way at every item."""
    evaluator = CelEvaluator()

    def evaluate_in_new_loop() -> int:
        return asyncio.run(turns_during(evaluator.evaluate("input.numbers.map(n, 0)", SCOPE, place="")))

    loop = asyncio.new_event_loop()
    with pytest.raises(StopIteration):
        _in_loop_that_never_turns(loop, evaluator)
    loop.close()
    assert evaluate_in_new_loop() < 5_000


def _in_loop_that_never_turns(loop: asyncio.AbstractEventLoop, evaluator: CelEvaluator) -> None:
    asyncio.events._set_running_loop(loop)
    try:
        evaluator.evaluate("input.n", SCOPE, place="").send(None)  # type: ignore[attr-defined]
    finally:
        asyncio.events._set_running_loop(None)


async def turns_during(work: object) -> int:
    """How often another coroutine runs while `work` does."""
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    before = turns
    await work  # type: ignore[misc]
    after = turns
    ticker.cancel()
    return after - before


@pytest.mark.parametrize(
    "pattern", ["^abc$", r"\d{4}-\d{2}-\d{2}", r"[\w.]+@\w+\.com", "(?i)hello|world", "[a-z]{100}"]
)
def test_ordinary_patterns_pass(pattern: str) -> None:
    assert 0 < check_pattern(pattern) <= 400


@pytest.mark.parametrize("pattern", [r"\w{60}", r"(\pL{10}){10}", "(?i)[a-z]{300}", "(a{20}b{20}){20}", "[^a]{90}"])
def test_patterns_that_compile_slowly_do_not(pattern: str) -> None:
    with pytest.raises(Exhausted):
        check_pattern(pattern)
