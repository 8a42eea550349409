"""W6: what is written as YAML is read back as exactly the same values, whatever they are."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.core.values import JsonValue
from millrace.definition import read_yaml
from millrace.definition.writing import write_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
LINES = st.lists(
    st.sampled_from(["a", " b", "c ", "", "\td", "- e", "#", "{{ x }}", "ü€😀", "\u2028", "\x85", "\ufeff"])
).map("\n".join)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT | LINES
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)


def typed(value: JsonValue) -> object:
    """Told apart where Python finds them equal: 1, 1.0 and true."""
    if isinstance(value, dict):
        return [(key, typed(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value), repr(value)


@given(VALUES)
@example({"a": "1e5", "b": "0x1f", "c": "0o7", "d": "12:30:00", "e": "1_000", "f": ".inf", "g": "2026-01-01"})
@example(["no", "on", "y", "~", "null", "True", "=", "<<", "!x", "&a", "*a", "%", "@", "`"])
def test_written_and_read_again_it_is_the_same(value: JsonValue) -> None:
    assert typed(read_yaml(write_yaml(value))) == typed(value)


@given(st.dictionaries(TEXT, TEXT, max_size=4))
@example({"on": "no", "1e5": "1:30", "0o17": "017", "=": "=", "<<": "<<"})
def test_a_reader_of_yaml_1_1_takes_text_for_the_same_text(value: dict[str, str]) -> None:
    assert yaml.safe_load(write_yaml(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"script": "one\ntwo\n"}, "script: |\n  one\n  two\n"),
        ({"timeout": "30s", "if": "{{ input.ok }}"}, "timeout: 30s\nif: '{{ input.ok }}'\n"),
        ({"tasks": [{"id": "a"}, {"id": "b"}]}, "tasks:\n  - id: a\n  - id: b\n"),
        ({"labels": {}, "empty": []}, "labels: {}\nempty: []\n"),
        ({"name": "Bücher 📚"}, "name: Bücher 📚\n"),
    ],
)
def test_it_is_written_as_people_write_it(value: JsonValue, text: str) -> None:
    assert write_yaml(value) == text
