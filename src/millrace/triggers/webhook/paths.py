"""The path of a webhook: what stands behind `/webhook/` in the address that others call."""

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from millrace.triggers.faults import told

PREFIX = "webhook/"
LONGEST_PATH = 200

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
REMEDY = "write such as orders or shop/orders: letters, digits and . _ ~ -, with / between the parts"


def normalised(path: str) -> str:
    """The path without the slash and the `webhook/` that may stand before it, and without a slash at its end."""
    return path.removeprefix("/").removeprefix(PREFIX).removesuffix("/")


def looks_like_id(path: str) -> bool:
    """Whether it may be the id of a workflow, by which its only webhook is found."""
    return _ID.fullmatch(path) is not None


def _checked(text: str) -> str:
    path = normalised(text)
    parts = path.split("/")
    if any(_SEGMENT.fullmatch(part) is None or part in (".", "..") for part in parts):
        raise told("path", f"{text[:60]!r} cannot be the path of a webhook", REMEDY)
    if looks_like_id(path):
        raise told("path", "a path that looks like an id is left to the workflow with that id", REMEDY)
    return path


WebhookPath: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=LONGEST_PATH, examples=["orders"]), AfterValidator(_checked)
]
