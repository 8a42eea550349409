"""Names with dots between them are read in one look; the tree must be the one that the parser makes of them."""

import pytest

from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.parsing import parse
from millrace.definition.expressions.syntax import Index, Name, Node, Select


def moved(node: Node, by: int) -> Node:
    """The same tree, further to the left."""
    if isinstance(node, Select):
        return Select(node.start - by, node.end - by, moved(node.base, by), node.field)
    assert isinstance(node, Name)
    return Name(node.start - by, node.end - by, node.name)


@pytest.mark.parametrize("path", ["a", "input.name", "tasks.fetch.output.body._x1.y", "_", "run.workflow.name"])
def test_a_path_in_one_look_is_what_the_parser_makes_of_it_before_an_index(path: str) -> None:
    whole = parse(f"{path}[0]")
    assert isinstance(whole, Index)
    assert parse(path) == whole.base
    assert moved(parse(f" \t{path}\n"), 2) == whole.base


@pytest.mark.parametrize("source", ["in", "true.x.", "a..b", ".a", "a.", "1a", "a.1", "a b", "a\u00a0", "for.each"])
def test_what_is_no_such_path_is_left_to_the_parser(source: str) -> None:
    with pytest.raises(ExpressionFault):
        parse(source)


def test_a_literal_is_no_name() -> None:
    assert not isinstance(parse("true"), Name)
