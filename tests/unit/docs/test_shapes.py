"""docs/shapes.md: every example becomes what stands behind it, and that is a valid definition."""

import json
from typing import Any

import pytest

from millrace.definition import read_yaml
from millrace.definition.faults import FaultList
from millrace.definition.shapes.accepted import to_canonical
from tests.support.documents import REPOSITORY, blocks_of
from tests.unit.definition.example import canonical, registry

BLOCKS = [block for block in blocks_of(REPOSITORY / "docs" / "shapes.md") if block.language in ("json", "yaml")]
PAIRS = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))


@pytest.mark.parametrize(("given", "made"), [(given, made) for given, made in PAIRS], ids=lambda block: block.place)
def test_an_example_becomes_what_the_page_says(given: Any, made: Any) -> None:
    assert (given.language, made.language) == ("json", "yaml")
    raw = json.loads(given.text)
    expected: Any = read_yaml(made.text)
    faults = FaultList()
    rewritten = to_canonical(raw, faults)
    assert rewritten is not None
    assert not faults
    assert rewritten.raw == expected
    types: set[Any] = {task["type"] for task in expected["tasks"]}
    if types <= registry().types().keys():
        assert canonical(raw) == canonical(expected)


def test_every_shape_has_an_example() -> None:
    keys = {key for given, _ in PAIRS for key in json.loads(given.text)}
    assert keys >= {"steps", "definition", "nodes"}
