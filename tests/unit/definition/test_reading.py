"""Reading YAML: JSON with less punctuation, and nothing that could surprise."""

import json
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core.errors import Unreadable
from millrace.definition import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, {c: null}]\n", {"a": 1, "b": ["x", {"c": None}]}),
        ('{"a": [1, 2.5, "\\u00e9", true, null]}', {"a": [1, 2.5, "é", True, None]}),
        ("", None),
        ("# only a comment\n", None),
        ("---\n", None),
        ("---\na: 1\n...\n", {"a": 1}),
        ("a:", {"a": None}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: >\n  x\n  y\n", {"a": "x y\n"}),
        ("a: &name 1", {"a": 1}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("text", "text"),
        ("[]", []),
    ],
)
def test_texts(text: str, value: Any) -> None:
    assert read_yaml(text) == value


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *((word, None) for word in ("null", "Null", "NULL", "~")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, word) for word in ("on", "off", "yes", "no", "y", "n", "On", "tRUE", "nULL")),
        *((word, word) for word in ("2026-01-02", "2026-01-02T03:04:05Z", "12:30:45", "1_000", "0x1F", "0o17", "012")),
        *((word, word) for word in (".inf", "-.inf", ".nan", "NaN", "Infinity", "1e", "+", ".", "1.2.3", "5m")),
        *((f"'{word}'", word) for word in ("1", "true", "null", "~", "")),
        ("0", 0),
        ("-0", 0),
        ("+5", 5),
        ("-17", -17),
        ("9223372036854775808", 9223372036854775808),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
    ],
)
def test_scalars(scalar: str, value: Any) -> None:
    read = read_yaml(f"a: {scalar}\n")
    assert read == {"a": value}
    assert isinstance(read, dict)
    assert type(read["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        ("a: 1\nb: 2\na: 3", "the key 'a' is given twice", "line 3, column 1"),
        ("x:\n  a: 1\n  a: 1", "the key 'a' is given twice", "line 3, column 3"),
        ("{a: 1, 'a': 2}", "the key 'a' is given twice", "line 1, column 8"),
        ("1: a", "not text; put it in quotes", "line 1, column 1"),
        ("true: a", "not text; put it in quotes", "line 1, column 1"),
        ("? [a]\n: 1", "a key is a mapping or list", "line 1, column 3"),
        ("a: {{ input.b }}", 'an expression stands in quotes: "{{ … }}"', "line 1, column 5"),
        ("a: &x [1]\nb: *x", "aliases (*x) are not taken", "line 2, column 4"),
        ("&a [*a]", "aliases (*a) are not taken", "line 1, column 5"),
        ("a: !!python/object/apply:os.system [id]", "tags", "line 1, column 4"),
        ("a: !!binary aGk=", "tags", "line 1, column 4"),
        ("a: !!set {x}", "tags", "line 1, column 4"),
        ("a: !own x", "tags", "line 1, column 4"),
        ("a: !!bool x", "tags", "line 1, column 4"),
        ("a: !!map [x]", "tags", "line 1, column 4"),
        ("a: 1\n---\nb: 2", "second document", "line 2, column 1"),
        ("a: [1,\n", "", "line 2"),
        ("a: 'x", "", "line 1"),
        ("a: {b: ]", "", "line 1, column 8"),
        ("\tb: 1", "", "line 1, column 1"),
        ("- a\nb: c", "", "line 2"),
        ("a: " + "9" * 5000, "5000 digits", "line 1, column 4"),
        ("[" * 100, "nested deeper than", "line 1"),
        ("a: \x07", "", ""),
        ("a: \ud800", "", ""),
        ('a: "\\ud800"', "", "line 1"),
    ],
)
def test_refused_with_the_place(text: str, says: str, place: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_yaml(text)
    assert refused.value.code == "unreadable"
    assert says in refused.value.message
    assert place in refused.value.message
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 250


def test_a_long_text_is_refused() -> None:
    with pytest.raises(Unreadable, match="longer than"):
        read_yaml("a" * (8 * 1024 * 1024 + 1))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "a:\n"])
def test_deep_nesting_ends_no_process(opening: str) -> None:
    program = (
        "import sys\nfrom millrace.core.errors import Unreadable\nfrom millrace.definition import read_yaml\n"
        "opening = sys.argv[1]\n"
        "text = ''.join(' ' * n + opening for n in range(1000)) if opening == 'a:\\n' else opening * 300_000\n"
        "try:\n    read_yaml(text)\nexcept Unreadable as error:\n    print('refused', error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, opening], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout[:7]) == (0, "refused"), ended.stderr[-500:]


@settings(max_examples=300, deadline=timedelta(seconds=2))
@given(st.text(st.sampled_from(list("ab01:-[]{}&*!|>'\"#%@,?~.\n\t \\<=é\ud800\x00\x85\ufeff")), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Unreadable):
        read_yaml(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc é_-", min_size=1, max_size=5), inner),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=timedelta(seconds=2))
@given(_JSON)
def test_json_is_yaml(value: Any) -> None:
    # libyaml takes no surrogate pairs, which is how JSON may escape characters beyond 16 bits.
    assert read_yaml(json.dumps(value, ensure_ascii=False)) == value
