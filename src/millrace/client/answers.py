"""Parts of answers that the client itself needs: one that is not there is not Millrace's."""

from typing import Any

from millrace.client.errors import UnexpectedAnswer


def part(answer: Any, *keys: str | int) -> Any:
    """`answer[key][key]…`. Raises `UnexpectedAnswer`."""
    found = answer
    for key in keys:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            place = ".".join(map(str, keys))
            raise UnexpectedAnswer(f"the answer has no {place}; is it a Millrace server of this release?") from None
    return found
