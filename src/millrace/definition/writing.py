"""Writing YAML: the text that `reading` turns into exactly the same values again, and that people like to read.

Other readers of YAML take it the same way: whatever any of them would take for something else is in quotes.
"""

import re
from typing import Any

import yaml

from millrace.core.values import JsonValue

_NUMBER_LIKE = re.compile(r"[-+]?[.0-9][-+.0-9_:eExXoOa-fA-F]*")
_UNSEEN = re.compile("[^\n\x20-\x7e\xa1-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")
"""Characters that cannot be seen, or that some take for the end of a line: they are written as escapes."""


def write_yaml(value: JsonValue) -> str:
    """A value as YAML text, in the order in which it is given."""
    text: str = yaml.dump(
        value, Dumper=_Writer, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**30
    )
    return text


class _Writer(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write a value again where it stands twice; `reading` takes no aliases."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Set the items of a list apart from the key above them."""
        return super().increase_indent(flow, False)


def _text(writer: _Writer, text: str) -> yaml.Node:
    style = None
    if _UNSEEN.search(text):
        style = '"'
    elif "\n" in text and text[0] not in " \n":
        style = "|"
    elif _NUMBER_LIKE.fullmatch(text):
        style = "'"
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style)


_Writer.add_representer(str, _text)
