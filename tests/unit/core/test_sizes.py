"""Amounts of bytes as text."""

import pytest

from millrace.core.sizes import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("4096", 4096), ("512Mi", 512 << 20), ("2Gi", 2 << 30), ("1Ti", 1 << 40), ("3Ki", 3072)],
)
def test_a_size_is_a_number_with_a_binary_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0Gi", "-1", "1.5Gi", "1 Gi", "1GB", "1gi", "Gi", "٣", "9" * 15 + "Ti", "1" * 99]
)
def test_what_is_none_is_named_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write such as 4096, 512Mi or 2Gi"):
        parse_size(text)


@pytest.mark.parametrize("text", ["1", "1000", "1Ki", "512Mi", "3Gi", "1Ti", "1025"])
def test_a_size_is_written_as_it_was_read(text: str) -> None:
    assert size_text(parse_size(text)) == text
