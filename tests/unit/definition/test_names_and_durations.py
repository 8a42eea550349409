"""Slugs and ids made from names; lengths of time as people write them."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.core.durations import duration_text, parse_duration
from millrace.core.values import SECOND
from millrace.definition import slugify
from millrace.definition.names import is_task_id, task_id_from


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Nightly Orders", "nightly-orders"),
        ("  a / b\t(c)  ", "a-b-c"),
        ("Café crème", "cafe-creme"),
        ("v1.2_final", "v1-2-final"),
        ("--a--", "a"),
        ("x" * 200, "x" * 80),
        ("x" * 79 + " y", "x" * 79),
    ],
)
def test_slugs(name: str, slug: str) -> None:
    assert slugify(name) == slug


@given(st.text(min_size=1, max_size=300))
def test_every_name_has_a_slug_and_an_id(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slugify(name))
    assert len(slugify(name)) <= 80
    assert is_task_id(task_id_from(name))


def test_names_without_letters_are_told_apart() -> None:
    assert slugify("加载") == slugify("加载") != slugify("报告")
    assert slugify("加载").startswith("workflow-")
    assert task_id_from("加载").startswith("task_")


@pytest.mark.parametrize("text", ["a", "A_b9", "_", "x" * 200, "nulls", "truely", "In"])
def test_ids(text: str) -> None:
    assert is_task_id(text)


@pytest.mark.parametrize("text", ["", "1a", "a-b", "a b", "a.b", "é", "a\n", "x" * 201, "true", "false", "null", "in"])
def test_no_ids(text: str) -> None:
    assert not is_task_id(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86_400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("1h30m", 5400),
        ("0s", 0),
        ("PT5M", 300),
        ("PT1H30M", 5400),
        ("PT0.5S", 0.5),
        ("P1D", 86_400),
        ("P1DT12H", 129_600),
        ("P2W", 1_209_600),
        ("366d", 366 * 86_400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == round(seconds * SECOND)
    assert duration_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "5", "5 m", " 5m", "5m ", "5m\n", "-5m", "+5m", "5M", "m", ".5s", "5.s", "1e3s", "1,5s", "5min"),
        *("P", "PT", "P1", "P1M", "P1Y", "PT5", "pt5m", "P-1D", "P1DT", "٣s", "5m30", "367d", "P53W", "9" * 400 + "s"),
        *("9" * 5000 + "d", "P" + "9" * 5000 + "D", "1" * 100_000),
    ],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|is longer than 366 days") as refused:
        parse_duration(text)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(
    ("value", "text"),
    [(30, "30s"), (0, "0s"), (1.5, "1500ms"), (0.25, "250ms"), (3600.0, "3600s"), (366 * 86_400, "31622400s")],
)
def test_numbers_are_seconds(value: float, text: str) -> None:
    assert duration_text(value) == text
    assert parse_duration(text) == round(value * SECOND)


@pytest.mark.parametrize("value", [-1, -0.001, 1e300, 10**400, 366 * 86_400 + 1, True, None, [], {}, "x"])
def test_no_numbers_of_seconds(value: Any) -> None:
    with pytest.raises(ValueError, match=r"duration|days"):
        duration_text(value)


@given(st.floats(0, 366 * 86_400))
def test_a_number_of_seconds_is_kept_to_the_millisecond(value: float) -> None:
    assert abs(parse_duration(duration_text(value)) - value * SECOND) <= SECOND // 1000
