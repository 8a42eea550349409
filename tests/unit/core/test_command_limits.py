"""The limits of commands, and how their amounts are written."""

import pytest

from millrace.core.command_limits import EXAMPLES, limit_of


def test_every_limit_can_be_written_as_its_example_says() -> None:
    amounts = {name: limit_of(name, text) for name, text in EXAMPLES.items()}
    assert amounts == {"cpu": 60, "memory": 512 << 20, "processes": 64, "file_size": 1 << 30, "open_files": 256}


def test_cpu_time_is_counted_in_whole_seconds() -> None:
    assert limit_of("cpu", "1500ms") == 2
    assert limit_of("cpu", "2h") == 7200


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("cpus", "1", "there is no limit named 'cpus'; the limits are cpu, memory, processes, file_size, open_files"),
        ("cpu", "0s", "cpu is a duration from 1s to 366d"),
        ("cpu", "fast", "is not a duration"),
        ("memory", "lots", "is not a size"),
        ("processes", "0", "a whole number from 1 to 1000000"),
        ("processes", "1000001", "a whole number"),
        ("processes", "1" * 20, "a whole number"),
        ("open_files", "15", "a whole number from 16"),
        ("open_files", "٣٣", "a whole number"),
        ("open_files", "-1", "a whole number"),
    ],
)
def test_what_is_no_limit_is_refused_with_what_would_be(name: str, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        limit_of(name, text)
