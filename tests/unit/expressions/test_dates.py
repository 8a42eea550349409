"""Date functions: ISO text in and out."""

import pytest

from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.ports.evaluator import ExpressionError, Scope


async def evaluate(expression: str) -> object:
    return await CelEvaluator().evaluate(expression, Scope(), place="")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("add_time('2026-02-28', '1d')", "2026-03-01"),
        ("add_time('2026-11-21', '-1w2d')", "2026-11-12"),
        ("add_time('2026-11-21', '48h')", "2026-11-23"),
        ("add_time('2026-11-21', '90m')", "2026-11-21T01:30:00Z"),
        ("add_time('2026-11-21T23:30:00+01:00', '2h30s')", "2026-11-22T00:30:30Z"),
        ("add_time('2026-11-21T00:00:00.25Z', '0s')", "2026-11-21T00:00:00.250000Z"),
        ("format_date('2026-11-21', 'DD/MM/YYYY')", "21/11/2026"),
        ("format_date('2026-11-21', 'YYYY-MM-DD', 'America/New_York')", "2026-11-21"),
        ("format_date('2026-07-01T22:30:00Z', 'YYYYMMDD HHmmss', 'Europe/Berlin')", "20260702 003000"),
        ("format_date(timestamp('2026-07-01T22:30:00Z'), 'HH:mm')", "22:30"),
        ("parse_date('20261121', 'YYYYMMDD')", "2026-11-21"),
        ("parse_date('21.11.2026 09:05', 'DD.MM.YYYY HH:mm')", "2026-11-21T09:05:00Z"),
        ("timestamp(add_time('2026-11-21T00:00:00Z', '1d')).getDayOfMonth()", 21),
        ("timestamp('2026-11-21T12:00:00Z') - timestamp('2026-11-21T11:58:30Z')", "90s"),
        ("string(duration('-1.5s'))", "-1.5s"),
    ],
)
async def test_values(expression: str, value: object) -> None:
    assert await evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("add_time('tomorrow', '1d')", "a text given as a date is none; write YYYY-MM-DD"),
        ("add_time('2026-02-30', '1d')", "a text given as a date is none"),
        ("add_time('2026-11-21T10:00:00', '1d')", "without a time zone"),
        ("add_time('2026-11-21', '1 day')", "write it like 1d"),
        ("add_time('9999-12-31', '1d')", "outside the years 1 to 9999"),
        ("add_time('2026-11-21', '999999999w')", "outside the years 1 to 9999"),
        ("format_date('0001-01-01T00:00:00Z', 'YYYY', 'America/New_York')", "outside the years 1 to 9999"),
        ("format_date('2026-11-21T00:00:00Z', 'YYYY', 'Europe/Berlni')", "is not known; use an IANA name"),
        ("format_date('2026-11-21T00:00:00Z', 'YYYY', '../../etc/passwd')", "is not known"),
        ("format_date('2026-11-21', 'YYYY', 'Mars/Base')", "is not known; use an IANA name such as Europe/Berlin"),
        ("format_date('2026-11-21T00:00:00Z', 'YYYY', 'localtime')", "is not known"),
        ("format_date('2026-11-21T00:00:00Z', 'YYYY', '')", "is not known"),
        ("parse_date('21.11.26', 'DD.MM.YYYY')", "is not written by its pattern"),
        ("parse_date('31.02.2026', 'DD.MM.YYYY')", "does not exist"),
        ("parse_date('2026', 'YYYY')", "must name YYYY, MM and DD"),
        ("format_date(5, 'YYYY')", "format_date() takes text, not int"),
    ],
)
async def test_errors(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        await evaluate(expression)
    assert said in str(caught.value)
