"""The immutable table: old ones keep their entries, and a change costs what it changes."""

from millrace.core.table import SMALLEST_MERGE, Table


def numbers(size: int) -> Table[int]:
    return Table({str(number): number for number in range(size)})


def test_a_change_makes_a_new_table_and_leaves_the_old_one_as_it_was() -> None:
    old = numbers(3)
    new = old.updated({"1": 10})
    assert dict(old) == {"0": 0, "1": 1, "2": 2}
    assert dict(new) == {"0": 0, "1": 10, "2": 2}
    assert len(new) == 3
    assert list(new) == list(old)


def test_nothing_to_change_is_the_same_table() -> None:
    old = numbers(3)
    assert old.updated({}) is old


def test_the_latest_change_of_an_entry_counts_before_and_after_tables_are_merged() -> None:
    table, expected = numbers(1000), dict(numbers(1000))
    history = []
    for round_ in range(3 * SMALLEST_MERGE):
        changes = {str(7 * round_ % 1000): -round_, "0": round_}
        table = table.updated(changes)
        expected = {**expected, **changes}
        history.append((table, expected))
    assert all(dict(seen) == then for seen, then in history)


def test_tables_are_equal_by_what_is_in_them_however_they_came_to_it() -> None:
    assert numbers(3).updated({"2": 5}) == Table({"0": 0, "1": 1, "2": 5})
